// Do the structures of a translator agree with each other? For tests and fuzzers; nothing that
// users install knows it.
//
// `Audit` walks everything that hangs together: the session table and its index, bindings, the port
// map and both indexes of bindings, free and resting ports, blocks, hosts and their quotas,
// permits, timers, fragments, stored packets, what ALGs keep, and the counts. It is slow and
// complete, and changes nothing.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>

#include "nat/translator.h"

namespace napt {

class Audit {
 public:
  /// The first thing that is wrong, or an empty string.
  static std::string of(Translator& nat);

 private:
  struct Fault {
    std::string what;
  };
  using Place = std::tuple<uint32_t, uint32_t, uint32_t>;  // port space, public address, port

  explicit Audit(Translator& nat) : nat_(nat), config_(nat.config_), bindings_(nat.bindings_) {}

  static void require(bool ok, const char* what, uint64_t a = 0, uint64_t b = 0);

  void sessions();
  void session(uint32_t slot);
  void timers();
  void lists();
  void owners();
  void portMap();
  void indexes();
  void freePorts();
  void blocks();
  void hosts();
  void host(uint32_t slot, const std::set<uint32_t>& slots);
  void permits();
  void fragments();
  void packets();
  void gateways();
  void counts();
  template <class HashOf>
  void index(const Index& index, HashOf hashOf);
  void list(const PacketList& packets, const char* name);
  bool isForward(const Place& place) const;
  Place placeOf(const Session& s) const {
    return {portSpace(s.protocol), s.address, swap16(s.publicPort)};
  }
  bool choosesPort(uint32_t slot) const {
    return Bindings::choosesPort(Key::of(nat_.sessions_[slot]));
  }
  bool shares(uint32_t slot) const;
  Behaviour mappingOf(uint32_t slot) const;

  Translator& nat_;
  const Config& config_;
  Bindings& bindings_;
  std::set<uint32_t> live_;                       // slots of sessions, due ones included
  std::map<uint32_t, std::set<uint32_t>> lists_;  // of each dynamic binding's first: all its slots
  std::map<Place, std::set<uint32_t>> taken_;  // ports of the pool: first slots of their bindings
  std::map<uint32_t, std::set<uint32_t>> byHost_;  // slots of hosts: their sessions
  std::set<uint32_t> stored_;                      // links of stored packets that have been seen
  uint64_t waiting_ = 0;                           // fragments that wait
};

}  // namespace napt
