// FTP through the gateway: what works without its helper, what does not, and how that shows.
import { deepEqual, doesNotMatch, equal, match, rejects } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { INSIDE_HOST, Lab, OUTSIDE_HOST, type Place, PUBLIC, until, whyNoLab } from "./lab.js";

const skip = whyNoLab("vsftpd", "curl");

/** A lab with an FTP server, which has one file. */
async function ftpLab(config: object, place: Place, address: string): Promise<Lab> {
  const lab = await Lab.create();
  try {
    await lab.gateway(config);
    mkdirSync(lab.path("root"));
    mkdirSync(lab.path("empty"));
    writeFileSync(lab.path("root/file"), "by FTP\n");
    const settings = {
      listen: "YES",
      listen_address: address,
      background: "NO",
      anonymous_enable: "YES",
      anon_root: lab.path("root"),
      secure_chroot_dir: lab.path("empty"),
      seccomp_sandbox: "NO",
    };
    const lines = Object.entries(settings).map((setting) => setting.join("="));
    writeFileSync(lab.path("vsftpd.conf"), `${lines.join("\n")}\n`);
    // It does not say that it listens.
    await lab.start(place, /^ready/, "sh", "-c", `echo ready; exec vsftpd ${lab.path("vsftpd.conf")}`);
    await until("the FTP server answers", () =>
      lab.exec(place, "curl", "-sS", `ftp://${address}/`).then(
        () => true,
        () => false,
      ),
    );
    return lab;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** Says commands to the FTP server outside, one after the other; the codes of its answers. */
async function answersTo(lab: Lab, ...commands: string[]): Promise<string[]> {
  const source = `
    const socket = require("node:net").connect(21, "${OUTSIDE_HOST}");
    const commands = ${JSON.stringify(commands)};
    require("node:readline").createInterface({ input: socket }).on("line", (line) => {
      console.log(line);
      if (commands.length > 0) socket.write(commands.shift() + "\\r\\n");
    });`;
  return (await lab.exec("in", process.execPath, "-e", source)).trim().split("\n");
}

const URL = `ftp://${OUTSIDE_HOST}/file`;
const ACTIVE = ["-m", "20", "-P", "-"];

/** curl of a file with all that was said, to know which commands it got by on. */
const curl = (lab: Lab, place: Place, ...args: string[]) =>
  lab.exec(place, "sh", "-c", 'curl -sSv "$@" 2>&1', "curl", ...args);

test("without the helper passive works; active is refused, and the control connection stays", {
  skip,
}, async () => {
  await using lab = await ftpLab({}, "out", OUTSIDE_HOST);
  equal(await lab.exec("in", "curl", "-sS", URL), "by FTP\n");
  equal(await lab.exec("in", "curl", "-sS", "--disable-epsv", URL), "by FTP\n");
  await rejects(curl(lab, "in", ...ACTIVE, URL));
  const port = `PORT ${INSIDE_HOST.replaceAll(".", ",")},200,1`;
  const replies = await answersTo(lab, "USER anonymous", "PASS x", port, "NOOP", "PASV", "QUIT");
  deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    ["220", "331", "230", "500", "200", "227", "221"],
  );
});

test("active works to a forwarded port, which the client names", { skip }, async () => {
  const forward = { protocol: "tcp", outside: `${PUBLIC}:5000`, inside: `${INSIDE_HOST}:5000` };
  await using lab = await ftpLab({ forwards: [forward] }, "out", OUTSIDE_HOST);
  const named = ["-sS", "-m", "20", "-P", `${PUBLIC}:5000-5000`];
  equal(await lab.exec("in", "curl", ...named, URL), "by FTP\n");
});

test("with the helper active works, by PORT and EPRT", { skip }, async () => {
  await using lab = await ftpLab({ alg: { ftp: true } }, "out", OUTSIDE_HOST);
  match(await curl(lab, "in", ...ACTIVE, "--disable-eprt", URL), /^by FTP$/m);
  const extended = await curl(lab, "in", ...ACTIVE, URL);
  match(extended, /^by FTP$/m);
  doesNotMatch(extended, /> PORT/);
});

test("with the helper a server inside gives passive data connections to clients outside", {
  skip,
}, async () => {
  const forward = { protocol: "tcp", outside: `${PUBLIC}:21`, inside: `${INSIDE_HOST}:21` };
  await using lab = await ftpLab({ alg: { ftp: true }, forwards: [forward] }, "in", INSIDE_HOST);
  const extended = await curl(lab, "out", `ftp://${PUBLIC}/file`);
  match(extended, /^by FTP$/m);
  doesNotMatch(extended, /> PASV/);
  // It goes where the answer says, not where the control connection leads.
  const believing = ["--disable-epsv", "--no-ftp-skip-pasv-ip"];
  match(await curl(lab, "out", ...believing, `ftp://${PUBLIC}/file`), /^by FTP$/m);
});
