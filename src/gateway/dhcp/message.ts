// DHCP messages (RFC 2131, section 2; options by RFC 2132) as bytes.

const HEADER = 236;
const COOKIE = 0x63825363;
/** The least that a client has to take (RFC 2131, section 2), without IP and UDP headers; some want no less. */
const LEAST = 300;

export const DHCP_SERVER = 67;
export const DHCP_CLIENT = 68;

export const OPTION = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  domainName: 15,
  mtu: 26,
  broadcast: 28,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  messageType: 53,
  serverId: 54,
  parameterList: 55,
  message: 56,
  renewalTime: 58,
  rebindingTime: 59,
  clientId: 61,
  domainSearch: 119,
  end: 255,
} as const;

export const TYPE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

/** A client's message. Addresses are numbers in host order, 0 for none. */
export interface DhcpRequest {
  readonly type: number;
  readonly transaction: number;
  readonly seconds: number;
  /** It can't take unicast before it has its address. */
  readonly broadcast: boolean;
  /** The address that it has. */
  readonly clientAddress: number;
  readonly mac: Uint8Array;
  /** What tells it from others: its own choice, else its hardware address. */
  readonly client: string;
  readonly requested: number;
  readonly serverId: number;
  readonly hostName: string;
  /** The options that it asks for; null: it does not say. */
  readonly wanted: ReadonlySet<number> | null;
}

/** Reads a request of an Ethernet client; null for what is none, or came through a relay. */
export function readRequest(bytes: Buffer): DhcpRequest | null {
  if (bytes.length < HEADER + 4 || bytes[0] !== 1 || bytes[1] !== 1 || bytes[2] !== 6) return null;
  if (bytes.readUInt32BE(HEADER) !== COOKIE || bytes.readUInt32BE(24) !== 0) return null;
  const options = readOptions(bytes);
  const type = options?.get(OPTION.messageType);
  if (options === null || type?.length !== 1) return null;
  const mac = Uint8Array.from(bytes.subarray(28, 34));
  const id = options.get(OPTION.clientId);
  const address = (option: number) => {
    const value = options.get(option);
    return value?.length === 4 ? value.readUInt32BE(0) : 0;
  };
  const wanted = options.get(OPTION.parameterList);
  return {
    type: type[0]!,
    transaction: bytes.readUInt32BE(4),
    seconds: bytes.readUInt16BE(8),
    broadcast: (bytes[10]! & 0x80) !== 0,
    clientAddress: bytes.readUInt32BE(12),
    mac,
    client: id !== undefined && id.length >= 2 ? id.toString("hex") : `01${Buffer.from(mac).toString("hex")}`,
    requested: address(OPTION.requestedAddress),
    serverId: address(OPTION.serverId),
    hostName: (options.get(OPTION.hostName) ?? Buffer.alloc(0))
      .toString("latin1")
      .replace(/[^\x21-\x7e]/g, ""),
    wanted: wanted === undefined ? null : new Set(wanted),
  };
}

/** The options by number, those in the file and server name fields too (RFC 2131, section 4.1); null when damaged. */
function readOptions(bytes: Buffer): Map<number, Buffer> | null {
  const options = new Map<number, Buffer>();
  const read = (field: Buffer): boolean => {
    for (let at = 0; at < field.length; ) {
      const option = field[at++]!;
      if (option === OPTION.pad) continue;
      if (option === OPTION.end) return true;
      const length = field[at++];
      if (length === undefined || at + length > field.length) return false;
      const value = field.subarray(at, at + length);
      // What comes in pieces is put together (RFC 3396).
      const before = options.get(option);
      options.set(option, before === undefined ? value : Buffer.concat([before, value]));
      at += length;
    }
    return true;
  };
  if (!read(bytes.subarray(HEADER + 4))) return null;
  const overload = options.get(OPTION.overload)?.[0] ?? 0;
  if ((overload & 1) !== 0 && !read(bytes.subarray(108, 236))) return null;
  if ((overload & 2) !== 0 && !read(bytes.subarray(44, 108))) return null;
  return options;
}

/** What a server says. */
export interface DhcpReply {
  readonly type: number;
  /** The address that the client gets, or 0. */
  readonly address: number;
  readonly server: number;
  /** Option numbers and values. */
  readonly options: readonly (readonly [number, Buffer])[];
}

/** The reply to a request as bytes. */
export function writeReply(request: DhcpRequest, reply: DhcpReply): Buffer {
  const options = [
    [OPTION.messageType, Buffer.from([reply.type])] as const,
    [OPTION.serverId, addresses([reply.server])] as const,
    ...reply.options,
  ].flatMap(([option, value]) => [Buffer.from([option, value.length]), value]);
  const body = Buffer.concat([Buffer.alloc(HEADER + 4), ...options, Buffer.from([OPTION.end])]);
  body[0] = 2;
  body[1] = 1;
  body[2] = 6;
  body.writeUInt32BE(request.transaction, 4);
  if (request.broadcast) body[10] = 0x80;
  if (reply.type === TYPE.ack) body.writeUInt32BE(request.clientAddress, 12);
  body.writeUInt32BE(reply.address, 16);
  body.set(request.mac, 28);
  body.writeUInt32BE(COOKIE, HEADER);
  return body.length >= LEAST ? body : Buffer.concat([body, Buffer.alloc(LEAST - body.length)]);
}

/** Addresses as an option has them. */
export function addresses(list: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * list.length);
  list.forEach((address, i) => {
    bytes.writeUInt32BE(address, 4 * i);
  });
  return bytes;
}

/** A time in seconds as an option has it. */
export function seconds(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(Math.min(0xffffffff, Math.round(value)));
  return bytes;
}

/** Domain names as an option has them (RFC 3397), without compression. */
export function names(list: readonly string[]): Buffer {
  const labels = list.flatMap((name) => [...name.split("."), ""]);
  return Buffer.concat(
    labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, "latin1")])),
  );
}
