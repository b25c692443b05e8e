// What a packet meets on its way, for who asks why.
#include "nat/trace.h"

#include "nat/translator.h"

namespace napt {

Trace Translator::trace(const PacketView& packet, uint32_t tag, uint64_t now) {
  const Parsed parsed = parse(packet, config_.verifyHeaderChecksum, config_.protocols);
  Trace trace;
  trace.result = translate(packet, tag, now);
  const bool readable = parsed.kind != Kind::Malformed && parsed.kind != Kind::BadChecksum;
  if (!readable || parsed.end == 0) return trace;

  uint32_t* next = trace.sessions;
  const uint32_t through =
      trace.result.session == 0 ? SessionTable::kNone : trace.result.session - 1;
  const bool fromInside = inside_.contains(parsed.source);
  const bool isFlow = parsed.kind == Kind::Flow && !parsed.isCall;
  uint32_t remote = parsed.source;
  uint16_t remoteEnd = remotePort(parsed, parsed.sourcePort);
  if (fromInside && isFlow) {
    const uint32_t outbound =
        findSession(Key::of(parsed.source, parsed.destination, parsed.sourcePort,
                            remotePort(parsed, parsed.destinationPort), parsed.protocol));
    if (outbound != SessionTable::kNone) {
      remote = sessions_[outbound].publicAddress;
      remoteEnd = remotePort(parsed, sessions_[outbound].publicPort);
      *next++ = outbound;
    }
  }
  if (through != SessionTable::kNone && through != trace.sessions[0]) *next = through;

  const uint32_t own = addresses_.find(parsed.destination);
  if (isFlow && own != PublicAddresses::kNone) {
    const PublicEndpoint e{static_cast<uint16_t>(own), swap16(parsed.destinationPort)};
    trace.owner = liveHead({parsed.protocol, e, remote, remoteEnd});
  }
  const uint32_t known = trace.sessions[0] != SessionTable::kNone ? trace.sessions[0] : trace.owner;
  if (fromInside) {
    trace.policy = inside_.policyOf(parsed.source);
  } else if (known != SessionTable::kNone) {
    trace.policy = inside_.policyOf(sessions_[known].inside);
  }
  return trace;
}

bool Translator::isAlone(uint32_t slot) const {
  const SessionLinks& links = sessions_.links(slot);
  return links.bindingNext == 0 && links.bindingPrevious == 0;
}

}  // namespace napt
