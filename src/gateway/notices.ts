// What happens to a gateway that people want to know of.
import type { Restored } from "../conntrack.js";
import type { Gateway } from "./gateway.js";

/** In words for people, by its name and fields for programs. */
export interface Notice {
  readonly level: "info" | "warn";
  readonly event: "conflict" | "warning" | "restored" | "address";
  readonly text: string;
  readonly fields: object;
}

/** Tells of it from now on. */
export function tellNotices(gateway: Gateway, tell: (notice: Notice) => void): void {
  gateway.on("conflict", (address: string) => {
    const text = `another station says that it has our address ${address}`;
    tell({ level: "warn", event: "conflict", text, fields: { address } });
  });
  gateway.on("warning", (text: string) => tell({ level: "warn", event: "warning", text, fields: {} }));
  gateway.on("restored", (fields: Restored) => {
    const { restored, expired, refused } = fields;
    const text = `sessions: ${restored} restored, ${expired} expired meanwhile, ${refused} refused`;
    tell({ level: "info", event: "restored", text, fields });
  });
  gateway.on("address", (address: string) => {
    tell({
      level: "info",
      event: "address",
      text: `the host's address is ${address} now`,
      fields: { address },
    });
  });
}
