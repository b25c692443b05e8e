// PCP's opcodes (RFC 6887): what a client may have, and what it is told.
import type { SessionEndpoint } from "../conntrack.js";
import {
  type Grant,
  type InsideEndpoint,
  MOST_FILTERS,
  type Refusal,
  type RemoteFilter,
} from "../explicit-mappings.js";
import type { Context } from "./context.js";
import type { Entry } from "./ledger.js";
import {
  errorLifetime,
  HEADER_BYTES,
  MOST_BYTES,
  OPCODES,
  PcpError,
  RESPONSE_BIT,
  type Result,
  readAddress,
  readOptions,
  response,
  VERSION,
  writeAddress,
} from "./message.js";

const OPTIONS = { preferFailure: 2, filter: 3 } as const;
/** Options from here on may be ignored. */
const OPTIONAL = 128;
const FILTER_BYTES = 20;
const FOREVER = 0xffffffff;
const ANY_ADDRESS = "0.0.0.0";

const PROTOCOLS = new Map<number, InsideEndpoint["protocol"]>([
  [6, "tcp"],
  [17, "udp"],
  [33, "dccp"],
  [136, "udplite"],
]);

// Offsets in MAP and PEER.
const NONCE = HEADER_BYTES;
const PROTOCOL = HEADER_BYTES + 12;
const INSIDE_PORT = HEADER_BYTES + 16;
const OUTSIDE_PORT = HEADER_BYTES + 18;
const OUTSIDE_ADDRESS = HEADER_BYTES + 20;
const MAP_BYTES = HEADER_BYTES + 36;
const REMOTE_PORT = MAP_BYTES;
const REMOTE_ADDRESS = MAP_BYTES + 4;
const PEER_BYTES = MAP_BYTES + 20;

const BYTES = new Map<number, number>([
  [OPCODES.announce, HEADER_BYTES],
  [OPCODES.map, MAP_BYTES],
  [OPCODES.peer, PEER_BYTES],
]);

/** Answers a request of version 2, or of one that nobody knows; null where silence is the answer. */
export function answerPcp(request: Buffer, context: Context): Buffer | null {
  if (request.length < HEADER_BYTES) return null;
  const { epoch } = context;
  const refuse = (result: Result) => response(request, result, { lifetime: errorLifetime(result), epoch });
  try {
    if (request[0] !== VERSION) throw new PcpError("unsupportedVersion");
    return serve(request, context);
  } catch (error) {
    if (error instanceof PcpError) return refuse(error.result);
    throw error;
  }
}

/** An announcement to all clients that state was lost (RFC 6887, section 14.1.3). */
export function announcement(epoch: number): Buffer {
  return response(Buffer.from([VERSION, OPCODES.announce | RESPONSE_BIT]), "success", { lifetime: 0, epoch });
}

function serve(request: Buffer, context: Context): Buffer {
  const opcode = request[1]! & ~RESPONSE_BIT;
  const least = BYTES.get(opcode);
  if (least === undefined) throw new PcpError("unsupportedOpcode");
  const wellFormed = request.length <= MOST_BYTES && request.length % 4 === 0 && request.length >= least;
  if (!wellFormed) throw new PcpError("malformedRequest");
  if (readAddress(request, 8) !== context.client) throw new PcpError("addressMismatch");
  const options = readMandatory(request, opcode, least);
  if (opcode === OPCODES.map) return map(request, options, context);
  if (opcode === OPCODES.peer) return peer(request, context);
  return response(request, "success", { lifetime: 0, epoch: context.epoch });
}

interface Options {
  readonly preferFailure: boolean;
  /** In order; null takes away all before. */
  readonly filters: (RemoteFilter | null)[];
}

/** The options that must be understood. Both that there are belong to MAP. */
function readMandatory(request: Buffer, opcode: number, at: number): Options {
  let preferFailure = false;
  const filters: (RemoteFilter | null)[] = [];
  for (const { code, data } of readOptions(request, at)) {
    if (code >= OPTIONAL) continue;
    const known = code === OPTIONS.preferFailure || code === OPTIONS.filter;
    if (!known) throw new PcpError("unsupportedOption");
    if (opcode !== OPCODES.map) throw new PcpError("malformedOption");
    if (code === OPTIONS.filter) {
      filters.push(readFilter(data));
    } else if (preferFailure || data.length !== 0) {
      throw new PcpError("malformedOption");
    } else {
      preferFailure = true;
    }
  }
  return { preferFailure, filters };
}

/** A remote that is let in (RFC 6887, section 13.3); null for the prefix length 0. */
function readFilter(data: Buffer): RemoteFilter | null {
  if (data.length !== FILTER_BYTES) throw new PcpError("malformedOption");
  const length = data[1]!;
  if (length === 0) return null;
  const address = readAddress(data, 4);
  if (length < 96 || length > 128 || address === null) throw new PcpError("malformedOption");
  return { address: `${address}/${length - 96}`, port: data.readUInt16BE(2) };
}

/** What MAP and PEER have in common. */
function readMapping(request: Buffer, context: Context) {
  const number = request[PROTOCOL]!;
  const port = request.readUInt16BE(INSIDE_PORT);
  return {
    nonce: request.subarray(NONCE, NONCE + 12).toString("hex"),
    number,
    protocol: PROTOCOLS.get(number),
    inside: { address: context.client, port },
    lifetime: request.readUInt32BE(4),
    wish: {
      address: readAddress(request, OUTSIDE_ADDRESS) ?? undefined,
      port: request.readUInt16BE(OUTSIDE_PORT),
    } as Partial<SessionEndpoint>,
  };
}

function map(request: Buffer, { preferFailure, filters }: Options, context: Context): Buffer {
  const { nonce, number, protocol, inside, lifetime, wish } = readMapping(request, context);
  if (number === 0 && inside.port !== 0) throw new PcpError("malformedRequest");
  const { epoch, ledger, now } = context;
  if (lifetime === 0 && (number === 0 || inside.port === 0)) {
    for (const { endpoint, owner } of ledger.of(context.client, now)) {
      if (owner === nonce && (number === 0 || endpoint.protocol === protocol)) context.release(endpoint);
    }
    return response(request, "success", { lifetime: 0, epoch });
  }
  if (protocol === undefined || inside.port === 0) throw new PcpError("unsupportedProtocol");
  const endpoint: InsideEndpoint = { protocol, inside };
  const entry = ownEntry(endpoint, nonce, context);
  if (lifetime === 0) {
    if (context.nat.mappings.find(endpoint)?.permanent === true) throw new PcpError("notAuthorized");
    context.release(endpoint);
    return response(request, "success", { lifetime: 0, epoch });
  }
  // To insist on nothing makes no sense.
  const insists = wish.port !== 0 || (wish.address ?? ANY_ADDRESS) !== ANY_ADDRESS;
  if (preferFailure && !insists) throw new PcpError("malformedOption");
  const remotes = addFilters(entry?.remotes, filters);
  const granted = context.grant({
    endpoint,
    owner: nonce,
    seconds: lifetime,
    outside: wish,
    exact: preferFailure,
    remotes,
  });
  return tell(request, granted, preferFailure, context);
}

/** The entry of a mapping that the client may change: its own, or one that has no nonce. */
function ownEntry(endpoint: InsideEndpoint, nonce: string, { ledger, now }: Context): Entry | null {
  const entry = ledger.get(endpoint, now);
  const foreign = entry !== null && /^[0-9a-f]{24}$/.test(entry.owner) && entry.owner !== nonce;
  if (foreign) throw new PcpError("notAuthorized");
  return entry?.owner === nonce ? entry : null;
}

function addFilters(
  had: readonly RemoteFilter[] | undefined,
  more: readonly (RemoteFilter | null)[],
): RemoteFilter[] | undefined {
  const all = [...(had ?? []), ...more];
  const kept = all.slice(all.lastIndexOf(null) + 1) as RemoteFilter[];
  const distinct = [...new Map(kept.map((filter) => [JSON.stringify(filter), filter])).values()];
  if (distinct.length > MOST_FILTERS) throw new PcpError("excessiveRemotePeers");
  return distinct.length === 0 ? undefined : distinct;
}

function peer(request: Buffer, context: Context): Buffer {
  const { nonce, protocol, inside, lifetime, wish } = readMapping(request, context);
  const remote = {
    address: readAddress(request, REMOTE_ADDRESS),
    port: request.readUInt16BE(REMOTE_PORT),
  };
  if (protocol === undefined) throw new PcpError("unsupportedProtocol");
  if (inside.port === 0 || remote.port === 0 || remote.address === null) {
    throw new PcpError("malformedRequest");
  }
  const endpoint: InsideEndpoint = { protocol, inside };
  ownEntry(endpoint, nonce, context);
  const flow = { ...endpoint, remote: { address: remote.address, port: remote.port } };
  const session = context.nat.conntrack.find(flow);
  // What outbound packets made can be made to last longer, but not be ended.
  if (lifetime === 0 && session === null) {
    return response(request, "success", { lifetime: 0, epoch: context.epoch });
  }
  const wished = wish.port !== 0 && session === null;
  const granted = context.nat.mappings.keep(
    {
      ...flow,
      lifetime: lifetime === 0 ? 0 : context.milliseconds(lifetime),
      ...(wished ? { outside: known(wish), exact: true } : {}),
    },
    context.now,
  );
  return tell(request, granted, wished, context);
}

/** An address of 0 is the server's to choose. */
function known({ address, port }: Partial<SessionEndpoint>): Partial<SessionEndpoint> {
  return { ...(address === undefined ? {} : { address }), ...(port === undefined ? {} : { port }) };
}

/** The answer to MAP and PEER. */
function tell(request: Buffer, granted: Grant | Refusal, exact: boolean, context: Context): Buffer {
  if (granted.reason !== null) throw new PcpError(resultOf(granted, exact));
  const { outside, expiresAt, permanent } = granted;
  const seconds = permanent ? FOREVER : context.secondsUntil(expiresAt);
  const message = response(request, "success", { lifetime: seconds, epoch: context.epoch });
  message.writeUInt16BE(outside.port, OUTSIDE_PORT);
  writeAddress(message, OUTSIDE_ADDRESS, outside.address);
  return message;
}

function resultOf({ reason }: Refusal, exact: boolean): Result {
  switch (reason) {
    case "unsupported-protocol":
      return "unsupportedProtocol";
    case "host-limit":
      return "userExceededQuota";
    case "ports-exhausted":
      return exact ? "cannotProvideExternal" : "noResources";
    case "session-limit":
    case "rate-limit":
      return "noResources";
    case "unmatched":
      return "malformedRequest";
    default:
      return "notAuthorized";
  }
}
