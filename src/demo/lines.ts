// One line for a packet, as tshark prints it.
import { ICMP, TCP } from "../ipv4.js";
import { type Fields, fieldsOf } from "./packet.js";

const hex16 = (value: number) => `0x${value.toString(16).padStart(4, "0")}`;

/** The first sequence number of each direction, for relative numbers. */
export type Streams = Map<string, number>;

/** Source, destination, protocol, length and info of a packet. */
export function lineOf(packet: Uint8Array, frameLength: number, streams: Streams): string {
  const fields = fieldsOf(packet);
  const [name, info] = describe(fields, streams);
  const ends = `${fields.source.padStart(15)} → ${fields.destination.padEnd(15)}`;
  return `${ends} ${name.padEnd(4)} ${String(frameLength).padStart(3)} ${info}`;
}

function describe(fields: Fields, streams: Streams): [name: string, info: string] {
  if (fields.protocol === ICMP) return ["ICMP", icmp(fields)];
  if (fields.protocol === TCP) return tcp(fields, streams);
  const isDns = fields.sourcePort === 53 || fields.destinationPort === 53;
  if (isDns && fields.body.byteLength > 8 + 12) return ["DNS", dns(fields.body)];
  return ["UDP", `${fields.sourcePort} → ${fields.destinationPort} Len=${fields.body.byteLength - 8}`];
}

function icmp({ body, ttl, sourcePort }: Fields): string {
  const sequence = body.getUint16(6);
  const swapped = ((sequence & 0xff) << 8) | (sequence >>> 8);
  const kind = body.getUint8(0) === 8 ? "request " : "reply   ";
  return `Echo (ping) ${kind} id=${hex16(sourcePort)}, seq=${sequence}/${swapped}, ttl=${ttl}`;
}

const FLAG_NAMES: [bit: number, name: string][] = [
  [1, "FIN"],
  [2, "SYN"],
  [4, "RST"],
  [8, "PSH"],
  [16, "ACK"],
];

function tcp(fields: Fields, streams: Streams): [name: string, info: string] {
  const { body, source, destination, sourcePort, destinationPort } = fields;
  const key = (from: string, to: string) => `${from} ${to}`;
  const here = key(`${source}:${sourcePort}`, `${destination}:${destinationPort}`);
  const back = key(`${destination}:${destinationPort}`, `${source}:${sourcePort}`);
  const header = (body.getUint8(12) >>> 4) * 4;
  const length = body.byteLength - header;
  const flags = body.getUint8(13);
  const sequence = body.getUint32(4);
  if (!streams.has(here)) streams.set(here, sequence);
  const relative = (sequence - streams.get(here)!) >>> 0;
  const first = firstLine(body, header);
  if (first !== null) return ["HTTP", first];
  const names = FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  const order = [...names].sort((a, b) => FLAG_ORDER.indexOf(a) - FLAG_ORDER.indexOf(b));
  const ack = (flags & 16) !== 0 ? ` Ack=${(body.getUint32(8) - (streams.get(back) ?? 0)) >>> 0}` : "";
  const mss = header > 20 && body.getUint8(20) === 2 ? ` MSS=${body.getUint16(22)}` : "";
  const ports = `${sourcePort} → ${destinationPort}`;
  return [
    "TCP",
    `${ports} [${order.join(", ")}] Seq=${relative}${ack} Win=${body.getUint16(14)} Len=${length}${mss}`,
  ];
}

const FLAG_ORDER = ["FIN", "SYN", "RST", "PSH", "ACK"];

/** The request or status line of an HTTP message. */
function firstLine(body: DataView, header: number): string | null {
  const payload = Buffer.from(body.buffer, body.byteOffset + header, body.byteLength - header).toString(
    "latin1",
  );
  const [line = ""] = payload.split("\r\n");
  return /^(?:GET \S+ HTTP|HTTP)\/1/.test(line) ? `${line} ` : null;
}

function dns(body: DataView): string {
  const at = (offset: number) => body.getUint8(8 + offset);
  const labels: string[] = [];
  let offset = 12;
  while (at(offset) !== 0) {
    const length = at(offset);
    labels.push(String.fromCharCode(...Array.from({ length }, (_, i) => at(offset + 1 + i))));
    offset += 1 + length;
  }
  const name = labels.join(".");
  const transaction = hex16(body.getUint16(8));
  if ((at(2) & 0x80) === 0) return `Standard query ${transaction} A ${name}`;
  const address = body.byteLength - 4;
  const answer = [0, 1, 2, 3].map((i) => body.getUint8(address + i)).join(".");
  return `Standard query response ${transaction} A ${name} A ${answer}`;
}
