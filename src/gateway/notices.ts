// What happens to a gateway that people want to know of, in words.
import type { Restored } from "../conntrack.js";
import type { Gateway } from "./gateway.js";

/** Tells it from now on, a sentence at a time. */
export function tellNotices(gateway: Gateway, tell: (text: string) => void): void {
  gateway.on("conflict", (address: string) =>
    tell(`another station says that it has our address ${address}`),
  );
  gateway.on("warning", tell);
  gateway.on("restored", ({ restored, expired, refused }: Restored) =>
    tell(`${restored} sessions restored, ${expired} expired meanwhile, ${refused} refused`),
  );
  gateway.on("address", (address: string) => tell(`the host's address is ${address} now`));
}
