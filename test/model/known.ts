/**
 * Where the engine is known to depart from the contract as the model reads it. The tests go around each; remove
 * an entry when it is settled. `NAPT_STRICT=all`, or a list of names, tests as if there were none.
 */
export const KNOWN = {
  /** A batch translates inbound packets with an own public source when a hairpin session matches. */
  "batch-own-source": true,
  /** A remote stays admitted by address-dependent filtering until the expired session is swept. */
  "lazy-filter": true,
  /** The packet that filtering refuses after hairpinning does not refresh the sender's session. */
  "hairpin-refused-half": true,
  /** Segments of the answering side before the connection is open: FIN never acknowledged, errors refused. */
  "early-answer": true,
  /** In an ICMP error about a hairpinned echo reply the quoted identifier is not put back. */
  "hairpin-reply-error": true,
  /** The outer IP ID of a translated ICMP error may be one that another host's datagram has. */
  "error-ip-id": true,
  /** With port blocks a new host is refused when the address chosen for it has no block left. */
  "paired-blocks": true,
  /** A block that forwards fill is handed out, and then nothing is found in it. */
  "forward-block": true,
  /** With several blocks, parity is looked for in one of them only. */
  "block-parity": true,
};

const strict = (process.env.NAPT_STRICT ?? "").split(",");

/** Whether to go around a known departure. */
export function tolerates(name: keyof typeof KNOWN): boolean {
  return KNOWN[name] && !strict.includes("all") && !strict.includes(name);
}
