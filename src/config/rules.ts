// Lists of rules: forwards, hosts with an address of their own, destinations that are left alone.
import { z } from "zod";
import {
  destinationPrefix,
  insideAddress,
  insideEndpoint,
  portRange,
  publicAddress,
  publicEndpoint,
} from "./address-fields.js";
import { choice, section } from "./fields.js";
import { PROTOCOL_NAMES, WITH_PORTS } from "./protocols.js";
import { show } from "./wording.js";

export const forward = section({
  protocol: choice(...WITH_PORTS).describe("Protocol to forward; others than TCP and UDP must be on"),
  outside: publicEndpoint.describe("Public address and port; they need not be in the pool"),
  inside: insideEndpoint.describe("Inside address and port that it leads to; with SCTP, the same port"),
});

export const oneToOne = section({
  outside: publicAddress.describe("Public address that belongs to one inside host; not in the pool"),
  inside: insideAddress.describe("Address of that host"),
});

export const exemption = z
  .union(
    [
      destinationPrefix,
      section({
        destination: destinationPrefix.describe("Address or prefix in CIDR notation"),
        protocol: choice(...PROTOCOL_NAMES)
          .optional()
          .describe("Only packets of this protocol; any without"),
        ports: portRange("80-90")
          .optional()
          .describe('Only packets to these ports: "LO-HI" or one port; any without'),
      }),
    ],
    {
      error: ({ input }) =>
        `${show(input)} is neither a prefix such as "198.51.100.0/24" nor an object with "destination"`,
    },
  )
  .transform((entry) => (typeof entry === "string" ? { destination: entry } : entry));
