// What is still to come or to be mended. For each feature the rows, or single tests ("ID: title"), that need it: they
// may fail until then, and the scorecard says so. Once all that wait for one pass, its entry has to go, or the suite
// fails.

export const PENDING: Readonly<Record<string, readonly string[]>> = {
  pcp: ["RFC6888-REQ-9"],
  "dynamic blocks of a size that is not given": [
    "RFC7422-S2-DYNAMIC: beyond its range a host gets a block from the dynamic pool, which is logged",
    "RFC7422-S2.3",
  ],
  "fixed ports that rest": ["RFC6888-REQ-8b"],
  "a RST at the window's edge": [
    "RFC7857-S2.2-CHECK: nor does one just behind the window's last octet count",
  ],
  "errors that quote TCP without its number": [
    "RFC6146-S3.4-NESTED: embedding TCP's ports without its number is too little to believe it",
  ],
  "the ID of a repeated first fragment": [
    "RFC6864-S5.3.1, RFC4787-REQ-14: a repeated first fragment does not split the datagram over two IDs",
  ],
};
