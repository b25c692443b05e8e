// What is told as an event, and when.
import { fraction, secondsBetween } from "./fields.js";

export const eventsShape = {
  expiring: secondsBetween(0, 300)
    .default(0)
    .describe(
      "Seconds before its end that an idle session is told to expire soon, half its timeout at most; 0: never",
    ),
  poolThreshold: fraction(0.2, 1)
    .default(0.9)
    .describe(
      "Part of a public address's ports, or blocks, in use or at rest that is told; a tenth of all below, it is relieved",
    ),
};
