// A small IPFIX collector (RFC 7011), which knows nothing of what is sent but what the templates say.

/** A data record: values by the number of the information element; times and counts as numbers, no names. */
export type IpfixRecord = ReadonlyMap<number, number>;

export interface IpfixMessage {
  readonly time: number;
  readonly sequence: number;
  readonly domain: number;
  readonly templates: number;
  readonly records: readonly IpfixRecord[];
}

type Template = readonly (readonly [element: number, size: number])[];

export class IpfixCollector {
  readonly #templates = new Map<number, Template>();

  /** @throws Error when the message is not as the RFC has it */
  read(bytes: Buffer): IpfixMessage {
    check(bytes.length >= 16, "a message has a header");
    check(bytes.readUInt16BE(0) === 10, "version 10");
    check(bytes.readUInt16BE(2) === bytes.length, "the length is the message's");
    const records: IpfixRecord[] = [];
    let templates = 0;
    let at = 16;
    while (at < bytes.length) {
      check(at + 4 <= bytes.length, "a set has a header");
      const id = bytes.readUInt16BE(at);
      const length = bytes.readUInt16BE(at + 2);
      check(length > 4 && at + length <= bytes.length, "a set has something, and ends within the message");
      const set = bytes.subarray(at + 4, at + length);
      if (id === 2) templates += this.#readTemplates(set);
      else records.push(...this.#readRecords(id, set));
      at += length;
    }
    const [time, sequence, domain] = [bytes.readUInt32BE(4), bytes.readUInt32BE(8), bytes.readUInt32BE(12)];
    return { time, sequence, domain, templates, records };
  }

  #readTemplates(set: Buffer): number {
    let count = 0;
    for (let at = 0; at < set.length; count++) {
      const [id, fields] = [set.readUInt16BE(at), set.readUInt16BE(at + 2)];
      check(id >= 256 && fields > 0, "a template has a number from 256 on, and fields");
      at += 4;
      const template = Array.from({ length: fields }, (_, i) => {
        const [element, size] = [set.readUInt16BE(at + 4 * i), set.readUInt16BE(at + 4 * i + 2)];
        check((element & 0x8000) === 0, "an element of IANA's");
        return [element, size] as const;
      });
      at += 4 * fields;
      this.#templates.set(id, template);
    }
    return count;
  }

  #readRecords(id: number, set: Buffer): IpfixRecord[] {
    const template = this.#templates.get(id);
    check(template !== undefined, `template ${id} is known`);
    const size = template!.reduce((sum, [, size]) => sum + size, 0);
    check(set.length % size === 0, "whole records");
    return Array.from({ length: set.length / size }, (_, record) => {
      let at = record * size;
      return new Map(
        template!.map(([element, size]) => {
          const value = size === 8 ? Number(set.readBigUInt64BE(at)) : set.readUIntBE(at, size);
          at += size;
          return [element, value] as const;
        }),
      );
    });
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(`IPFIX: ${what}`);
}
