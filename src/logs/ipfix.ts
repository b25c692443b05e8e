// IPFIX (RFC 7011): events become records, records of one template a set, sets a message.
import { NatError } from "../errors.js";
import type { NatEvent } from "../events/event.js";
import { writeEvent } from "../events/rows.js";
import { LAYOUT } from "../native.js";
import { type Destination, destinationOf } from "./destination.js";
import { type Encoder, EventLog, type EventLogOptions } from "./event-log.js";
import { TEMPLATES, type Template, templateOf } from "./ipfix-templates.js";
import { linkTo } from "./link.js";
import type { Chunk } from "./outbox.js";

const VERSION = 10;
const MESSAGE_HEADER = 16;
const SET_HEADER = 4;
const TEMPLATE_SET = 2;

/** Ports of a collector that is given without one (RFC 7011, section 10). */
export const IPFIX_PORTS = { udp: 4739, tcp: 4739 } as const;
/** Bytes of a message: within an Ethernet frame, tunnels included. */
export const DEFAULT_MESSAGE_SIZE = 1400;
/** The least that a system takes as a datagram, and the most. */
export const MESSAGE_SIZES = [512, 65_507] as const;
/** Seconds from one telling of the templates to the next. */
export const DEFAULT_TEMPLATE_INTERVAL = 60;

export interface IpfixOptions extends EventLogOptions {
  /** The collector: "udp://192.0.2.5:4739" or "tcp://192.0.2.5:4739"; the port may be left out. */
  to: string;
  /** The observation domain, by which a collector tells NATs of one address apart. @default 1 */
  domain?: number;
  /** Bytes of a message at most, IP and UDP headers not counted. @default 1400 */
  messageSize?: number;
  /** Seconds after which a UDP collector, which may have been away, is told the templates again. @default 60 */
  templateInterval?: number;
}

/** Exports events to an IPFIX collector, as RFC 8158 has them. */
export class IpfixExporter extends EventLog {
  protected readonly encoder: IpfixEncoder;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @throws NatError NAT_ERR_ARGUMENT */
  constructor({
    to,
    domain = 1,
    messageSize = DEFAULT_MESSAGE_SIZE,
    templateInterval = DEFAULT_TEMPLATE_INTERVAL,
    ...options
  }: IpfixOptions) {
    const destination: Destination = destinationOf(to, IPFIX_PORTS);
    checkRange("domain", domain, 0, 0xffffffff);
    checkRange("messageSize", messageSize, ...MESSAGE_SIZES);
    checkRange("templateInterval", templateInterval, 1, 86_400);
    let sequence = 0;
    super(linkTo(destination), options, {
      opened: () => {
        sequence = 0; // a connection counts for itself
        return templateMessage(domain);
      },
      stamp: ({ bytes, events }) => {
        stamp(bytes, Date.now(), sequence);
        sequence = (sequence + events) >>> 0;
      },
    });
    this.encoder = new IpfixEncoder(domain, messageSize, (chunk) => this.outbox.put(chunk));
    if (destination.transport === "udp") {
      const again = () => this.outbox.put(templateMessage(domain));
      this.#timer = setInterval(again, templateInterval * 1000).unref();
    }
  }

  override async close(): Promise<void> {
    clearInterval(this.#timer);
    await super.close();
  }
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new NatError("NAT_ERR_ARGUMENT", `${name}: ${value} is not a whole number from ${least} to ${most}`);
}

/** Makes messages. Their time and sequence number are not in them before they go (`stamp`). */
export class IpfixEncoder implements Encoder {
  readonly #domain: number;
  readonly #size: number;
  readonly #put: (chunk: Chunk) => void;
  readonly #row = new Float64Array(LAYOUT.sessionFields);
  #bytes: Buffer;
  #view: DataView;
  #length = MESSAGE_HEADER;
  #records = 0;
  /** The set that records go into, and where it begins. */
  #template: Template | null = null;
  #set = 0;

  constructor(domain: number, size: number, put: (chunk: Chunk) => void) {
    [this.#domain, this.#size, this.#put] = [domain, size, put];
    this.#bytes = Buffer.allocUnsafe(size);
    this.#view = viewOf(this.#bytes);
  }

  add(event: NatEvent, time: number): void {
    writeEvent(event, this.#row);
    this.addRow(this.#row, 0, time);
  }

  addRow(rows: Float64Array, at: number, time: number): void {
    const template = templateOf(rows, at);
    if (template === null) return;
    const header = template === this.#template ? 0 : SET_HEADER;
    if (this.#length + header + template.size > this.#size) this.flush();
    if (template !== this.#template) this.#begin(template);
    const view = this.#view;
    const { fields } = template;
    let to = this.#length;
    writeTime(view, to, time);
    to += fields[0]!.size;
    for (let i = 1; i < fields.length; i++) {
      const { size, value } = fields[i]!;
      const number = typeof value === "number" ? rows[at + value]! : value(rows, at);
      if (size === 1) view.setUint8(to, number);
      else if (size === 2) view.setUint16(to, number);
      else view.setUint32(to, number);
      to += size;
    }
    this.#length = to;
    this.#records++;
  }

  flush(): void {
    if (this.#records === 0) return;
    this.#endSet();
    const bytes = this.#bytes.subarray(0, this.#length);
    writeHeader(bytes, this.#domain);
    this.#put({ bytes, events: this.#records });
    this.#bytes = Buffer.allocUnsafe(this.#size);
    this.#view = viewOf(this.#bytes);
    [this.#length, this.#records] = [MESSAGE_HEADER, 0];
  }

  #begin(template: Template): void {
    this.#endSet();
    [this.#template, this.#set] = [template, this.#length];
    this.#bytes.writeUInt16BE(template.id, this.#length);
    this.#length += SET_HEADER;
  }

  #endSet(): void {
    if (this.#template !== null) this.#bytes.writeUInt16BE(this.#length - this.#set, this.#set + 2);
    this.#template = null;
  }
}

/** A message with all templates (RFC 7011, section 3.4.1); it counts as no record. */
export function templateMessage(domain: number): Chunk {
  const sizes = TEMPLATES.map(({ fields }) => 4 + 4 * fields.length);
  const set = sizes.reduce((sum, size) => sum + size, SET_HEADER);
  const bytes = Buffer.alloc(MESSAGE_HEADER + set);
  writeHeader(bytes, domain);
  let at = MESSAGE_HEADER;
  const put = (value: number) => {
    at = bytes.writeUInt16BE(value, at);
  };
  put(TEMPLATE_SET);
  put(set);
  for (const { id, fields } of TEMPLATES) {
    put(id);
    put(fields.length);
    for (const { element, size } of fields) {
      put(element);
      put(size);
    }
  }
  return { bytes, events: 0 };
}

function writeHeader(bytes: Buffer, domain: number): void {
  bytes.writeUInt16BE(VERSION, 0);
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt32BE(domain, 12);
}

/** Writes what is known only when a message goes: when that is, and how many records went before. */
export function stamp(bytes: Uint8Array, time: number, sequence: number): void {
  const view = viewOf(bytes);
  view.setUint32(4, Math.floor(time / 1000));
  view.setUint32(8, sequence);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeTime(view: DataView, at: number, ms: number): void {
  const whole = Math.floor(ms);
  view.setUint32(at, Math.floor(whole / 2 ** 32));
  view.setUint32(at + 4, whole % 2 ** 32);
}
