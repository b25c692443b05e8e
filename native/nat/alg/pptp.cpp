#include "nat/alg/pptp.h"

#include <algorithm>

namespace napt {

namespace {

constexpr uint32_t kMagicCookie = 0x1a2b3c4d, kHeader = 12;
constexpr uint32_t kMessageType = 2, kCookie = 4, kControlType = 8;
constexpr uint16_t kControlMessage = 1;

/// Where a message has call ids (RFC 2637, sections 2.7 to 2.15); 0 for none.
struct Layout {
  uint16_t type, size;
  uint8_t own, peer;  // the sender's and the receiver's
  bool begins;        // a call: the sender's id is new
};
constexpr Layout kLayouts[] = {
    {7, 168, 12, 0, true},    // Outgoing-Call-Request
    {8, 32, 12, 14, true},    // Outgoing-Call-Reply
    {9, 220, 12, 0, true},    // Incoming-Call-Request
    {10, 24, 12, 14, true},   // Incoming-Call-Reply
    {11, 28, 0, 12, false},   // Incoming-Call-Connected
    {12, 16, 12, 0, false},   // Call-Clear-Request
    {13, 148, 12, 0, false},  // Call-Disconnect-Notify
    {14, 40, 0, 12, false},   // WAN-Error-Notify
    {15, 24, 0, 12, false},   // Set-Link-Info
};

void replaceId(Passage& passage, uint32_t at, uint16_t id) {
  char by[2];
  std::memcpy(by, &id, sizeof by);
  passage.replace(at, at + sizeof by, by, sizeof by);
}

/// Translates the call ids of a message at `at` in the passage.
void translateIds(Passage& passage, uint32_t at, const Layout& layout, Control& control) {
  const auto idAt = [&](uint32_t offset) { return load<uint16_t>(passage.text + at + offset); };
  if (!passage.mayReplace(0)) return;
  if (passage.side == kOut && layout.own != 0) {
    const uint16_t own = idAt(layout.own);
    Endpoint e;
    const bool known = own != 0 && (layout.begins ? control.expect(kGre, own, e)
                                                  : control.outsideOf(kGre, own, e));
    if (!known) return;
    replaceId(passage, at + layout.own, e.port);
    if (layout.peer != 0) control.callPaired(own, idAt(layout.peer));
  }
  if (passage.side == kIn && layout.peer != 0) {
    uint16_t own;
    if (!control.insideOf(kGre, idAt(layout.peer), own)) return;
    replaceId(passage, at + layout.peer, own);
    if (layout.own != 0) control.callPaired(own, idAt(layout.own));
  }
}

}  // namespace

bool Pptp::read(Passage& passage, Watch&, Control& control) const {
  // Whole messages from the stream's beginning on; they are short, and no sender cuts them.
  for (uint32_t at = 0; at < passage.length;) {
    const uint8_t* message = passage.text + at;
    const uint32_t left = passage.length - at;
    if (!passage.stream.atStart || left < kHeader) return false;
    const uint32_t size = load16be(message);
    if (size < kHeader || size > left || load16be(message + kMessageType) != kControlMessage ||
        load32be(message + kCookie) != kMagicCookie) {
      return false;
    }
    const uint16_t type = load16be(message + kControlType);
    const Layout* layout = std::find_if(std::begin(kLayouts), std::end(kLayouts),
                                        [&](const Layout& l) { return l.type == type; });
    if (layout != std::end(kLayouts)) {
      if (size != layout->size) return false;
      translateIds(passage, at, *layout, control);
    }
    at += size;
  }
  return true;
}

}  // namespace napt
