// NAT-PMP (RFC 6886): PCP's elder brother, version 0 of the same server.
import type { InsideEndpoint } from "../explicit-mappings.js";
import type { Context } from "./context.js";
import { RESPONSE_BIT } from "./message.js";

const RESULTS = { success: 0, notAuthorized: 2, networkFailure: 3, noResources: 4, unsupportedOpcode: 5 };
type Result = keyof typeof RESULTS;

const OPCODES = { address: 0, udp: 1, tcp: 2 } as const;
const MAP_BYTES = 12;
const TRIES = 16;
const OWNER = "nat-pmp";
const COMPANION = "companion";

/** Answers a request of version 0; null where silence is the answer. */
export function answerNatPmp(request: Buffer, context: Context): Buffer | null {
  const opcode = request[1]!;
  if (opcode === OPCODES.address) return publicAddress(context);
  if (opcode !== OPCODES.udp && opcode !== OPCODES.tcp) return head(8, opcode, "unsupportedOpcode", context);
  if (request.length < MAP_BYTES) return null;
  return map(request, opcode === OPCODES.udp ? "udp" : "tcp", context);
}

function head(size: number, opcode: number, result: Result, { epoch }: Context): Buffer {
  const message = Buffer.alloc(size);
  message[1] = (opcode | RESPONSE_BIT) & 0xff;
  message.writeUInt16BE(RESULTS[result], 2);
  message.writeUInt32BE(epoch, 4);
  return message;
}

function publicAddress(context: Context): Buffer {
  const address = context.nat.mappings.publicAddressOf(context.client);
  const message = head(12, OPCODES.address, address === null ? "networkFailure" : "success", context);
  (address ?? "0.0.0.0").split(".").forEach((octet, i) => {
    message[8 + i] = Number(octet);
  });
  return message;
}

function map(request: Buffer, protocol: "udp" | "tcp", context: Context): Buffer {
  const port = request.readUInt16BE(4);
  const outsidePort = request.readUInt16BE(6);
  const seconds = request.readUInt32BE(8);
  const endpoint: InsideEndpoint = { protocol, inside: { address: context.client, port } };
  const tell = (result: Result, mapped = 0, lifetime = 0) => {
    const message = head(16, request[1]!, result, context);
    message.writeUInt16BE(port, 8);
    message.writeUInt16BE(mapped, 10);
    message.writeUInt32BE(lifetime, 12);
    return message;
  };
  if (seconds === 0) return tell(remove(endpoint, context) ? "success" : "notAuthorized");
  if (port === 0) return tell("notAuthorized");
  const entry = context.ledger.get(endpoint, context.now);
  if (entry !== null && entry.owner !== OWNER && entry.owner !== COMPANION) return tell("notAuthorized");
  const granted = mapWithCompanion(endpoint, { seconds, outsidePort }, context);
  if (granted === null) return tell("noResources");
  // A configured mapping is the answer to any request for it; it outlives the lifetime that is told.
  const lifetime = granted.permanent
    ? context.milliseconds(seconds) / 1000
    : context.secondsUntil(granted.expiresAt);
  return tell("success", granted.outside.port, lifetime);
}

const companionOf = ({ protocol, inside }: InsideEndpoint): InsideEndpoint => ({
  protocol: protocol === "udp" ? "tcp" : "udp",
  inside,
});

/**
 * Maps an inside endpoint. The same port of the other protocol is kept for the host, so that it can have that too
 * (RFC 6886, section 3.3): a mapping that lets nobody in.
 */
function mapWithCompanion(
  endpoint: InsideEndpoint,
  { seconds, outsidePort }: { seconds: number; outsidePort: number },
  context: Context,
) {
  const companion = companionOf(endpoint);
  const renewed = context.ledger.get(endpoint, context.now) !== null;
  let port = outsidePort;
  for (let tries = 0; tries < TRIES; tries++) {
    const granted = context.grant({ endpoint, owner: OWNER, seconds, outside: { port } });
    if (granted.reason !== null) return null;
    if (granted.permanent) return granted;
    const other = context.ledger.get(companion, context.now);
    if (other !== null && other.owner !== COMPANION) return granted; // it has both already
    const kept = context.grant({
      endpoint: companion,
      owner: COMPANION,
      seconds,
      outside: granted.outside,
      exact: true,
      remotes: [],
    });
    // Flows of the host may have given the other protocol's endpoint a port of its own; then it needs none.
    const settled = kept.reason === null || kept.outside !== null || kept.reason !== "ports-exhausted";
    if (settled || renewed) return granted;
    context.release(endpoint);
    port = (granted.outside.port % 65535) + 1;
  }
  return null;
}

/** Ends one mapping, or of inside port 0 all of the protocol. False if it is not the client's to end. */
function remove(endpoint: InsideEndpoint, context: Context): boolean {
  const { client, ledger, nat, now } = context;
  if (endpoint.inside.port !== 0) {
    if (nat.mappings.find(endpoint)?.permanent === true) return false;
    const entry = ledger.get(endpoint, now);
    if (entry === null || entry.owner === COMPANION) return true; // none, or no longer: that is fine
    if (entry.owner !== OWNER) return false;
    release(endpoint, context);
    return true;
  }
  const own = ledger.of(client, now).filter(({ endpoint: { protocol } }) => protocol === endpoint.protocol);
  for (const entry of own) if (entry.owner === OWNER) release(entry.endpoint, context);
  return own.every(({ owner }) => owner === OWNER || owner === COMPANION);
}

/** Ends a mapping and what is kept beside it; if the companion is a mapping itself, its own companion comes back. */
function release(endpoint: InsideEndpoint, context: Context): void {
  const companion = companionOf(endpoint);
  const other = context.ledger.get(companion, context.now);
  if (other?.owner === COMPANION) context.release(companion);
  if (other?.owner !== OWNER) {
    context.release(endpoint);
    return;
  }
  const seconds = (other.expiresAt - context.now) / 1000;
  context.grant({ endpoint, owner: COMPANION, seconds, remotes: [] });
}
