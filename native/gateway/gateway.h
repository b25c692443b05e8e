// Joins two networks through a translator, on a thread of its own.
//
// A burst of frames is received, translated where it lies, and sent by the other port before its
// memory is given back. What the loop can't handle itself (ARP, packets for the gateway's own
// address, packets whose next hop is not known yet) it punts: TypeScript answers with frames.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "gateway/clock.h"
#include "gateway/network.h"
#include "gateway/punts.h"
#include "gateway/shared_translator.h"
#include "io/link_watch.h"

namespace napt {

struct GatewayCounters {
  Tally foreign;     // frames that are not for the gateway, or no IPv4 and no ARP
  Tally unroutable;  // nobody takes packets for this destination
  Tally punted;
  Tally puntsLost;               // TypeScript did not keep up, or one host asks too much
  Histogram<1> burstFrames[2];   // by the side that they came in on; kBurst: more may have waited
  Histogram<1000> burstTime[2];  // ns from a burst's receipt until it was sent
};

/// One of the two sides.
struct Joined {
  Network network;
  std::unique_ptr<Port> port;
};

/// What the gateway's thread calls.
struct GatewayHooks {
  std::function<void()> punts;  // some wait, and none did before
  std::function<void()> links;  // interfaces or addresses have changed
};

class Gateway {
 public:
  /// `clock`: what the translator's time is to that of the system's monotonic clock, ns.
  Gateway(std::shared_ptr<SharedTranslator> shared, uint64_t clock, Joined inside, Joined outside,
          GatewayHooks hooks);
  ~Gateway();

  void start();
  /// Ends the thread; what was received is sent.
  void stop();

  /// The largest packet that goes to a side. The translator goes by the same; here it holds for the
  /// segments that a super-packet will be cut into. 0: any.
  void setMtu(GatewaySide side, uint32_t mtu) { mtus_[side] = mtu; }
  /// Whether the thread goes on looking for frames instead of sleeping until some come.
  void setBusyPoll(bool on) { busyPoll_ = on; }
  /// Changes what a network reaches itself, and who takes the rest; nobody there is known any more.
  void setNetwork(GatewaySide side, uint32_t prefix, uint32_t mask, uint32_t router);
  void setNeighbour(GatewaySide side, uint32_t address, const Mac& mac);
  void forgetNeighbour(GatewaySide side, uint32_t address);
  /// Has the gateway's thread send a frame, as it is or to its packet's next hop; any thread may.
  /// `kind`: what taps are told that it is.
  void inject(GatewaySide side, const Frame& frame, bool route, TapKind kind = TapKind::Own);
  std::vector<Punt> takePunts() { return punts_.take(); }

  const GatewayCounters& counters() const { return counters_; }
  Port& port(GatewaySide side) { return *sides_[side].port; }

 private:
  static constexpr uint32_t kBurst = TapBurst::kMost;

  /// A frame that did not come from a port.
  struct Made {
    GatewaySide to;
    bool route;
    Offload offload;
    TapKind kind;
    bool sent;
    std::vector<uint8_t> bytes;
    Frame frame() { return {bytes.data(), static_cast<uint32_t>(bytes.size()), offload}; }
  };

  void run();
  uint64_t now() const { return monotonic() - clock_; }
  void waitForFrames();
  uint32_t pump(GatewaySide from);
  bool admit(GatewaySide from, const Frame& frame);
  void translate(GatewaySide from);
  void dispatch();
  bool transmit(GatewaySide to, const Frame& frame);
  void collect(Translator& nat);
  void tidy();
  void sendInjected();
  void punt(GatewaySide side, uint32_t hop, const Frame& frame);

  // What taps are shown.
  void lookForTaps();
  void keepForTaps(GatewaySide from);
  void showBurst(GatewaySide from);
  void showMade(std::vector<Made>& list);
  Tapped sighted(GatewaySide side, bool left, TapKind kind, const Frame& frame) const;

  const std::shared_ptr<SharedTranslator> shared_;
  const uint64_t clock_;
  Joined sides_[2];
  Neighbours neighbours_[2];
  std::mutex neighboursMutex_;
  const GatewayHooks hooks_;
  LinkWatch links_;
  Punts punts_;
  std::vector<Made> injected_;
  std::mutex injectedMutex_;
  std::atomic<bool> hasInjected_ = false;
  GatewayCounters counters_;
  std::thread thread_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint32_t> mtus_[2] = {0, 0};
  std::atomic<bool> busyPoll_ = false;
  int wake_ = -1;

  // Of the burst under way.
  Frame frames_[kBurst];
  uint32_t count_ = 0;
  Descriptor descriptors_[kBurst] = {};
  uint64_t sent_ = 0;          // bits: which of them went out
  std::vector<Made> emitted_;  // what the translator put out itself
  uint64_t tidied_ = 0;
  bool tapped_ = false;  // somebody looks on
  uint64_t seenAt_ = 0;  // ns since 1970
  TapBurst tapBurst_;
};

}  // namespace napt
