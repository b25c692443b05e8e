// PCP and NAT-PMP clients: requests and answers as the RFCs draw them.
import { equal, ok } from "node:assert/strict";
import { PcpServer, type PcpServerOptions } from "../../src/index.js";
import { addressNumber, addressText, endpoint } from "../support/packets.js";
import { type Lab, type LabConfig, lab } from "./lab.js";
import { addressOf, portOf } from "./traffic.js";

/** Numbers of RFC 6887, section 7.4. */
export const RESULT = {
  SUCCESS: 0,
  UNSUPP_VERSION: 1,
  NOT_AUTHORIZED: 2,
  MALFORMED_REQUEST: 3,
  UNSUPP_OPCODE: 4,
  UNSUPP_OPTION: 5,
  MALFORMED_OPTION: 6,
  NO_RESOURCES: 8,
  UNSUPP_PROTOCOL: 9,
  USER_EX_QUOTA: 10,
  CANNOT_PROVIDE_EXTERNAL: 11,
  ADDRESS_MISMATCH: 12,
  EXCESSIVE_REMOTE_PEERS: 13,
} as const;

export const NUMBERS = { tcp: 6, udp: 17, icmp: 1, sctp: 132 } as const;
export type Name = keyof typeof NUMBERS;

/** ::ffff:a.b.c.d */
export function mapped(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(0xffff, 10);
  bytes.writeUInt32BE(addressNumber(address), 12);
  return bytes;
}
function unmapped(bytes: Buffer): string {
  equal(bytes.subarray(0, 12).toString("hex"), "00000000000000000000ffff", "an IPv4-mapped address");
  return addressText(bytes.readUInt32BE(12));
}

export function header(opcode: number, lifetime: number, client: string): Buffer {
  const bytes = Buffer.alloc(24);
  bytes[0] = 2;
  bytes[1] = opcode;
  bytes.writeUInt32BE(lifetime, 4);
  mapped(client).copy(bytes, 8);
  return bytes;
}

/** An option, padded. */
export function option(code: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc((4 + data.length + 3) & ~3);
  bytes[0] = code;
  bytes.writeUInt16BE(data.length, 2);
  data.copy(bytes, 4);
  return bytes;
}
export const PREFER_FAILURE = option(2);
export const THIRD_PARTY = (address: string) => option(1, mapped(address));
/** @param length of the prefix, as IPv4 has it; null to take all filters away */
export function filter(address: string, length: number | null = 32, port = 0): Buffer {
  const data = Buffer.alloc(20);
  data[1] = length === null ? 0 : 96 + length;
  data.writeUInt16BE(port, 2);
  mapped(address).copy(data, 4);
  return option(3, data);
}

export interface MapFields {
  nonce?: number;
  protocol?: Name | number;
  lifetime?: number;
  suggested?: string;
  options?: Buffer[];
  /** Of the header, if it isn't the sender. */
  client?: string;
}

function mapping(
  inside: string,
  { nonce = 1, protocol = "udp", suggested = "0.0.0.0:0" }: MapFields,
): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.fill(nonce, 0, 12);
  bytes[12] = typeof protocol === "number" ? protocol : NUMBERS[protocol];
  bytes.writeUInt16BE(portOf(inside), 16);
  bytes.writeUInt16BE(portOf(suggested), 18);
  mapped(addressOf(suggested)).copy(bytes, 20);
  return bytes;
}

export function mapRequest(inside: string, fields: MapFields = {}): Buffer {
  const { lifetime = 3600, client = addressOf(inside), options = [] } = fields;
  return Buffer.concat([header(1, lifetime, client), mapping(inside, fields), ...options]);
}

export function peerRequest(inside: string, remote: string, fields: MapFields = {}): Buffer {
  const { lifetime = 3600, client = addressOf(inside), options = [] } = fields;
  const other = Buffer.alloc(20);
  other.writeUInt16BE(portOf(remote));
  mapped(addressOf(remote)).copy(other, 4);
  return Buffer.concat([header(2, lifetime, client), mapping(inside, fields), other, ...options]);
}

/** A NAT with the server of its inside network. */
export class PortControl {
  readonly nat: Lab;
  readonly server: PcpServer;

  constructor(config: LabConfig = {}, options: PcpServerOptions = {}) {
    this.nat = lab(config);
    this.server = new PcpServer(this.nat.nat, options);
  }

  /** One datagram to the server, which leaves it as it was. */
  send(request: Uint8Array, from: string): Buffer | null {
    const before = Buffer.from(request);
    const answer = this.server.answer(request, endpoint(`${from}:49152`), this.nat.now);
    equal(Buffer.compare(before, request), 0, "the request stays");
    return answer;
  }

  /** A PCP request that is answered. */
  ask(request: Buffer, from = unmapped(request.subarray(8, 24))) {
    const answer = this.send(request, from);
    ok(answer !== null, "an answer");
    equal(answer.length % 4, 0, "a multiple of 4");
    ok(answer.length <= 1100, "at most 1100 octets");
    equal(answer[0], 2, "version");
    equal(answer[1], request[1]! | 0x80, "the opcode, and R");
    equal(answer[2], 0, "reserved");
    ok(
      answer.subarray(12, 24).every((octet) => octet === 0),
      "reserved",
    );
    return { result: answer[3]!, lifetime: answer.readUInt32BE(4), epoch: answer.readUInt32BE(8), answer };
  }

  /** A PCP request that fails. */
  refused(request: Buffer, from?: string): number {
    const { result, lifetime } = this.ask(request, from);
    ok(result !== RESULT.SUCCESS, "refused");
    ok(lifetime > 0, "how long not to ask again");
    return result;
  }

  #granted(request: Buffer) {
    const told = this.ask(request);
    equal(told.result, RESULT.SUCCESS, "result");
    equal(
      told.answer.subarray(24, 42).toString("hex"),
      request.subarray(24, 42).toString("hex"),
      "what was asked for",
    );
    const address = unmapped(told.answer.subarray(44, 60));
    return { ...told, outside: `${address}:${told.answer.readUInt16BE(42)}` };
  }
  map(inside: string, fields: MapFields = {}) {
    return this.#granted(mapRequest(inside, fields));
  }
  peer(inside: string, remote: string, fields: MapFields = {}) {
    return this.#granted(peerRequest(inside, remote, fields));
  }

  /** NAT-PMP: the outside address. */
  pmpAddress(from: string) {
    const answer = this.send(Buffer.from([0, 0]), from)!;
    equal(answer.length, 12);
    deepHeader(answer, 0);
    return {
      result: answer.readUInt16BE(2),
      epoch: answer.readUInt32BE(4),
      address: addressText(answer.readUInt32BE(8)),
    };
  }
  /** NAT-PMP: a mapping. */
  pmpMap(inside: string, protocol: "udp" | "tcp", { port = 0, lifetime = 7200 } = {}) {
    const request = Buffer.alloc(12);
    request[1] = protocol === "udp" ? 1 : 2;
    request.writeUInt16BE(portOf(inside), 4);
    request.writeUInt16BE(port, 6);
    request.writeUInt32BE(lifetime, 8);
    const answer = this.send(request, addressOf(inside))!;
    equal(answer.length, 16);
    deepHeader(answer, request[1]!);
    equal(answer.readUInt16BE(8), portOf(inside), "internal port");
    return {
      result: answer.readUInt16BE(2),
      epoch: answer.readUInt32BE(4),
      port: answer.readUInt16BE(10),
      lifetime: answer.readUInt32BE(12),
    };
  }
}

function deepHeader(answer: Buffer, opcode: number): void {
  equal(answer[0], 0, "version");
  equal(answer[1], opcode + 128, "opcode");
}
