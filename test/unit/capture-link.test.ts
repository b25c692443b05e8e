import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  LINK_TYPE,
  linkHeaderFor,
  locateIpv4,
  replyLinkHeader,
  SUPPORTED_LINK_TYPES,
} from "../../src/capture/link.js";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

const ADDRESSES = "0a0b0c0d0e0f 010203040506";
const IP = "45000014";

/** Name, link type, link header, whether IPv4 follows. */
const frames: [string, number, string, boolean][] = [
  ["Ethernet", LINK_TYPE.ethernet, `${ADDRESSES} 0800`, true],
  ["Ethernet, ARP", LINK_TYPE.ethernet, `${ADDRESSES} 0806`, false],
  ["Ethernet, IPv6", LINK_TYPE.ethernet, `${ADDRESSES} 86dd`, false],
  ["Ethernet, MPLS", LINK_TYPE.ethernet, `${ADDRESSES} 8847 00001140`, false],
  ["Ethernet, a length", LINK_TYPE.ethernet, `${ADDRESSES} 0026 424203`, false],
  ["802.1Q", LINK_TYPE.ethernet, `${ADDRESSES} 8100 0064 0800`, true],
  ["802.1ad", LINK_TYPE.ethernet, `${ADDRESSES} 88a8 0064 8100 0065 0800`, true],
  ["old QinQ", LINK_TYPE.ethernet, `${ADDRESSES} 9100 0064 9100 0065 8100 0066 0800`, true],
  ["802.1Q, IPv6", LINK_TYPE.ethernet, `${ADDRESSES} 8100 0064 86dd`, false],
  ["PPPoE", LINK_TYPE.ethernet, `${ADDRESSES} 8864 1100 0007 0016 0021`, true],
  ["PPPoE, compressed", LINK_TYPE.ethernet, `${ADDRESSES} 8864 1100 0007 0015 21`, true],
  ["PPPoE in 802.1Q", LINK_TYPE.ethernet, `${ADDRESSES} 8100 0064 8864 1100 0007 0016 0021`, true],
  ["PPPoE, LCP", LINK_TYPE.ethernet, `${ADDRESSES} 8864 1100 0007 0016 c021`, false],
  ["PPPoE, IPv6", LINK_TYPE.ethernet, `${ADDRESSES} 8864 1100 0007 0016 0057`, false],
  ["PPPoE discovery", LINK_TYPE.ethernet, `${ADDRESSES} 8863 1109 0000 0016 0021`, false],
  ["PPPoE of another code", LINK_TYPE.ethernet, `${ADDRESSES} 8864 1109 0007 0016 0021`, false],
  ["raw", LINK_TYPE.raw, "", true],
  ["raw, 12", LINK_TYPE.raw12, "", true],
  ["raw, 14", LINK_TYPE.raw14, "", true],
  ["raw, IPv6", LINK_TYPE.raw, "60", false],
  ["IPv4", LINK_TYPE.ipv4, "", true],
  ["SLL", LINK_TYPE.linuxSll, "0000 0001 0006 010203040506 0000 0800", true],
  ["SLL, 802.1Q", LINK_TYPE.linuxSll, "0000 0001 0006 010203040506 0000 8100 0064 0800", true],
  ["SLL, IPv6", LINK_TYPE.linuxSll, "0000 0001 0006 010203040506 0000 86dd", false],
  ["SLL2", LINK_TYPE.linuxSll2, "0800 0000 00000002 0001 00 06 0102030405060000", true],
  ["SLL2, 802.1Q", LINK_TYPE.linuxSll2, "8100 0000 00000002 0001 00 06 0102030405060000 0064 0800", true],
  ["SLL2, ARP", LINK_TYPE.linuxSll2, "0806 0000 00000002 0001 00 06 0102030405060000", false],
  ["null, little endian", LINK_TYPE.null, "02000000", true],
  ["null, big endian", LINK_TYPE.null, "00000002", true],
  ["null, IPv6", LINK_TYPE.null, "1e000000", false],
  ["null, neither", LINK_TYPE.null, "00020000", false],
  ["loop", LINK_TYPE.loop, "00000002", true],
  ["loop, little endian", LINK_TYPE.loop, "02000000", false],
  ["802.11", 105, `${ADDRESSES} 0800`, false],
];

describe("locateIpv4", () => {
  for (const [name, linkType, header, ipv4] of frames) {
    it(`${ipv4 ? "finds IPv4" : "finds none"}: ${name}`, () => {
      const link = hex(header);
      const bytes = Uint8Array.from([0x45, 8, 0, ...link, ...hex(IP)]);
      const length = bytes.length - 3;
      assert.equal(locateIpv4(bytes, 3, length, linkType), ipv4 ? link.length : -1);
      for (let cut = 0; ipv4 && cut < link.length; cut++)
        assert.equal(locateIpv4(bytes, 3, cut, linkType), -1);
    });
  }

  it("lets the engine judge a wrong version, but on raw links", () => {
    const bad = hex(`${ADDRESSES} 0800 65000014`);
    assert.equal(locateIpv4(bad, 0, bad.length, LINK_TYPE.ethernet), 14);
    assert.equal(locateIpv4(bad, 14, 4, LINK_TYPE.ipv4), 0);
    assert.equal(locateIpv4(bad, 14, 4, LINK_TYPE.raw), -1);
    assert.equal(locateIpv4(bad, 0, 0, LINK_TYPE.raw), -1);
  });

  it("lists every link type it knows", () => {
    const known = new Set(frames.filter(([, , , ipv4]) => ipv4).map(([, linkType]) => linkType));
    assert.deepEqual([...SUPPORTED_LINK_TYPES].sort(), [...known].sort());
  });
});

describe("linkHeaderFor", () => {
  it("keeps all but the length in PPPoE", () => {
    const along = (header: string, ipLength: number) => {
      const bytes = Uint8Array.from([7, ...hex(header), ...hex(IP)]);
      const made = linkHeaderFor(bytes, 1, hex(header).length, LINK_TYPE.ethernet, ipLength);
      return Buffer.from(made).toString("hex");
    };
    const same = (header: string) => header.replaceAll(" ", "");
    assert.equal(along(`${ADDRESSES} 8100 0064 0800`, 9), same(`${ADDRESSES} 8100 0064 0800`));
    const pppoe = (length: string) => `${ADDRESSES} 8864 1100 0007 ${length} 0021`;
    assert.equal(along(pppoe("0016"), 0x1fe), same(pppoe("0200")));
  });
});

describe("replyLinkHeader", () => {
  const back = (linkType: number, header: string, ipLength = 56) => {
    const bytes = Uint8Array.from([7, ...hex(header), ...hex(IP)]);
    const before = bytes.slice();
    const reply = replyLinkHeader(bytes, 1, hex(header).length, linkType, ipLength);
    assert.deepEqual(bytes, before);
    return Buffer.from(reply).toString("hex");
  };
  const same = (header: string) => header.replaceAll(" ", "");
  const SWAPPED = "010203040506 0a0b0c0d0e0f";

  it("swaps Ethernet addresses and keeps tags", () => {
    assert.equal(back(LINK_TYPE.ethernet, `${ADDRESSES} 0800`), same(`${SWAPPED} 0800`));
    assert.equal(back(LINK_TYPE.ethernet, `${ADDRESSES} 8100 0064 0800`), same(`${SWAPPED} 8100 0064 0800`));
  });

  it("sets the length in PPPoE", () => {
    const header = `${ADDRESSES} 8100 0064 8864 1100 0007 0016 0021`;
    assert.equal(
      back(LINK_TYPE.ethernet, header, 0x1fe),
      same(`${SWAPPED} 8100 0064 8864 1100 0007 0200 0021`),
    );
    assert.equal(
      back(LINK_TYPE.ethernet, `${ADDRESSES} 8864 1100 0007 0016 21`),
      same(`${SWAPPED} 8864 1100 0007 0039 21`),
    );
  });

  it("copies other link headers", () => {
    for (const [, linkType, header, ipv4] of frames) {
      if (ipv4 && linkType !== LINK_TYPE.ethernet) assert.equal(back(linkType, header), same(header));
    }
  });
});
