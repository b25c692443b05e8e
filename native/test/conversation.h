// Conversations over watched control connections: what each side sends, and what the other gets.
#pragma once

#include <string>

#include "test/support.h"

namespace napt::test {

using Text = std::string;

constexpr uint32_t kServerAddress = ip(198, 51, 100, 21);
constexpr uint8_t kPush = 8;

Bytes segment(End from, End to, uint8_t flags, uint32_t sequence, uint32_t ack, const Text& text,
              const Bytes& options = {});
inline uint32_t sequenceOf(const Bytes& packet) { return load32be(&packet[24]); }
inline uint32_t ackOf(const Bytes& packet) { return load32be(&packet[28]); }
Text textOf(const Bytes& packet);

/// What comes out for one packet: itself, or what is put out for it. Empty if it was dropped.
Bytes pass(Translator& nat, const Bytes& sent, uint64_t now = 0);

/// One end of a connection: what it has sent and received, in its own numbers.
struct Peer {
  End self, other;
  uint32_t next;          // to send
  uint32_t received = 0;  // the next number that it expects
  Text heard = {};        // what it has received in order

  Bytes say(const Text& text) {
    const Bytes out = again(text, next);
    next += static_cast<uint32_t>(text.size());
    return out;
  }
  Bytes again(const Text& text, uint32_t from, const Bytes& options = {}) const {
    return segment(self, other, kAck | kPush, from, received, text, options);
  }
  /// Takes a segment in; what comes again is ignored. Bytes are never missing in these tests.
  void hear(const Bytes& packet) {
    REQUIRE_FALSE(packet.empty());
    const Text text = textOf(packet);
    const uint32_t seen = received - sequenceOf(packet);
    REQUIRE(seen <= 4000);
    if (seen >= text.size()) return;
    heard += text.substr(seen);
    received += static_cast<uint32_t>(text.size()) - seen;
  }
};

/// A control connection through a NAT.
struct Conversation {
  Translator& nat;
  Peer client, server;
  bool clientInside;

  /// From inside to a server outside.
  Conversation(Translator& through, End inside, End remote)
      : nat(through),
        client{inside, remote, 1000},
        server{remote, {}, 500'000},
        clientInside(true) {
    open();
  }
  /// From outside to a public endpoint that leads inside.
  Conversation(Translator& through, End remote, End outside, End inside)
      : nat(through),
        client{remote, outside, 1000},
        server{inside, remote, 500'000},
        clientInside(false) {
    open();
  }

  void open() {
    const Bytes syn = pass(nat, segment(client.self, client.other, kSyn, client.next++, 0, ""));
    REQUIRE_FALSE(syn.empty());
    server.other = sourceOf(syn);
    server.received = client.next;
    const Bytes answer = pass(
        nat, segment(server.self, server.other, kSyn | kAck, server.next++, server.received, ""));
    REQUIRE_FALSE(answer.empty());
    client.received = server.next;
    REQUIRE_FALSE(pass(nat, client.again("", client.next)).empty());
  }
  /// Says something, and gives what came out on the other side.
  Text commands(const Text& text) { return talk(client, server, text); }
  Text replies(const Text& text) { return talk(server, client, text); }
  Text talk(Peer& from, Peer& to, const Text& text) {
    const Bytes packet = pass(nat, from.say(text));
    to.hear(packet);
    const Bytes ack = pass(nat, to.again("", to.next));
    REQUIRE_FALSE(ack.empty());
    CHECK(ackOf(ack) == from.next);
    CHECK(sequenceOf(ack) == from.received);
    return textOf(packet);
  }
  void greet() {
    replies("220 ready\r\n");
    CHECK(commands("USER anonymous\r\n") == "USER anonymous\r\n");
    replies("331 password?\r\n");
  }
};

}  // namespace napt::test
