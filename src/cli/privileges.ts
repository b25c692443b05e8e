// Going on as another user, once all is open that only root can open.
import { execFileSync } from "node:child_process";
import { chownSync } from "node:fs";
import { NatError } from "../errors.js";

/**
 * Makes this process a user's, for good, with the files that it has made.
 * @throws NatError NAT_ERR_GATEWAY when there is no such user, or this process may not
 */
export function become(user: string, files: readonly string[]): void {
  const [uid, gid] = [idOf(user, "-u"), idOf(user, "-g")];
  if (process.getuid?.() === uid) return;
  try {
    for (const file of files) chownSync(file, uid, gid);
    process.setgroups?.([gid]);
    process.setgid?.(gid);
    process.setuid?.(uid); // in all threads
  } catch (error) {
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `gateway.user: can't become "${user}": ${(error as Error).message}`,
    );
  }
}

function idOf(user: string, which: "-u" | "-g"): number {
  try {
    return Number(execFileSync("id", [which, "--", user], { stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    throw new NatError(
      "NAT_ERR_GATEWAY",
      `gateway.user: there is no user "${user}"; make one: adduser --system ${user}`,
    );
  }
}
