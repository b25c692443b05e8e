// The capture that the demo plays, as the guest's network card saw it: three pings, a name looked up, a page
// fetched. It is generated here and shipped as src/demo/story.pcap; a test compares the two.
import { ICMP, TCP, UDP } from "../ipv4.js";
import { ipv4 } from "./packet.js";

export const GUEST = "192.168.226.135";
export const HOST = "192.168.0.104";
const NAME_SERVER = "8.8.8.8";
const WEB_SERVER = "203.0.113.80";

/** One frame of the story. */
export interface StoryFrame {
  /** Seconds since the story's start. */
  readonly time: number;
  readonly frame: Uint8Array;
}

/** Length of the Ethernet header before each packet. */
export const LINK_HEADER = 14;
/** When the story was "captured": seconds since 1970. */
export const STORY_START = 1_700_000_000;

const GUEST_MAC = [0x00, 0x0c, 0x29, 0x4e, 0x1a, 0x87];
const GATEWAY_MAC = [0x00, 0x50, 0x56, 0xf2, 0x10, 0x02];
const PING_ID = 0x0c1d;
const DNS_PORT = 40123;
const WEB_PORT = 48502;

const text = (value: string) => Array.from(Buffer.from(value));
const be16 = (value: number) => [(value >>> 8) & 255, value & 255];
const be32 = (value: number) => [...be16(value >>> 16), ...be16(value & 0xffff)];

function echo(type: number, sequence: number): Uint8Array {
  const payload = Array.from({ length: 56 }, (_, i) => i);
  return Uint8Array.from([type, 0, 0, 0, ...be16(PING_ID), ...be16(sequence), ...payload]);
}

function datagram(source: number, destination: number, payload: number[]): Uint8Array {
  return Uint8Array.from([
    ...be16(source),
    ...be16(destination),
    ...be16(8 + payload.length),
    0,
    0,
    ...payload,
  ]);
}

function segment(
  source: number,
  destination: number,
  sequence: number,
  ack: number,
  flags: number,
  payload = "",
  options: number[] = [],
): Uint8Array {
  const offset = (5 + options.length / 4) << 4;
  const head = [...be16(source), ...be16(destination), ...be32(sequence), ...be32(ack), offset, flags];
  return Uint8Array.from([...head, ...be16(64240), 0, 0, 0, 0, ...options, ...text(payload)]);
}

const DNS_NAME = [3, ...text("www"), 7, ...text("example"), 3, ...text("com"), 0];
const DNS_QUESTION = [...DNS_NAME, 0, 1, 0, 1];
const DNS_QUERY = [0x1a, 0x2b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...DNS_QUESTION];
const DNS_RECORD = [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 203, 0, 113, 80];
const DNS_ANSWER = [0x1a, 0x2b, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, ...DNS_QUESTION, ...DNS_RECORD];

const SYN = 2;
const ACK = 16;
const PUSH = 8 | ACK;
const FIN = 1 | ACK;
const MSS_1460 = [2, 4, 5, 180];
const REQUEST = "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
const RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
const CLIENT_START = 0x6b7a1000;
const SERVER_START = 0x1f3d2000;

/** Generates the story. */
export function makeStory(): StoryFrame[] {
  const frames: StoryFrame[] = [];
  let id = 0x3a10;
  const add = (time: number, fromGuest: boolean, protocol: number, remote: string, body: Uint8Array) => {
    const packet = fromGuest
      ? ipv4(protocol, GUEST, remote, 64, id++, body)
      : ipv4(protocol, remote, GUEST, 115, 0, body);
    const link = fromGuest ? [...GATEWAY_MAC, ...GUEST_MAC, 8, 0] : [...GUEST_MAC, ...GATEWAY_MAC, 8, 0];
    frames.push({ time, frame: Uint8Array.from([...link, ...packet]) });
  };

  for (let sequence = 1; sequence <= 3; sequence++) {
    add(sequence - 1, true, ICMP, NAME_SERVER, echo(8, sequence));
    add(sequence - 1 + 0.0123, false, ICMP, NAME_SERVER, echo(0, sequence));
  }

  add(3, true, UDP, NAME_SERVER, datagram(DNS_PORT, 53, DNS_QUERY));
  add(3.0145, false, UDP, NAME_SERVER, datagram(53, DNS_PORT, DNS_ANSWER));

  let client = CLIENT_START;
  let server = SERVER_START;
  let time = 3.02;
  const say = (fromGuest: boolean, flags: number, payload = "", options: number[] = []) => {
    const body = fromGuest
      ? segment(WEB_PORT, 80, client, (flags & ACK) !== 0 ? server : 0, flags, payload, options)
      : segment(80, WEB_PORT, server, client, flags, payload, options);
    add(Math.round(time * 1e6) / 1e6, fromGuest, TCP, WEB_SERVER, body);
    const span = payload.length + (flags & SYN ? 1 : 0) + (flags & 1);
    if (fromGuest) client += span;
    else server += span;
    time += 0.011;
  };
  say(true, SYN, "", MSS_1460);
  say(false, SYN | ACK, "", MSS_1460);
  say(true, ACK);
  say(true, PUSH, REQUEST);
  say(false, PUSH, RESPONSE);
  say(true, ACK);
  say(true, FIN);
  say(false, FIN);
  say(true, ACK);
  return frames;
}
