// Application level gateways (RFC 2663, section 2.9): the seam between the translator and protocols
// whose control connections name addresses and ports of other connections.
//
// A control connection to a server's port is *watched* from its SYN on. What a segment adds to a
// stream, in order and once, is shown to the ALG as a `Passage`. It may replace stretches of it,
// and have ports opened for what it read of. Segments that come again are changed by what is
// remembered of the stream, not read again. What can't be read for certain (fragments, wrong
// checksums, cut captures, streams with a gap, what is still to be cut into segments) is left
// alone.
#pragma once

#include "nat/alg/sequence_shift.h"
#include "nat/session.h"

namespace napt {

/// One direction of a watched connection.
struct Stream {
  uint32_t next;  // the sender's number of the first byte that was not read yet
  bool begun;     // its SYN was seen
  bool atStart;   // a line or message begins there
  SequenceShift shift;
};

/// What the FTP ALG remembers of a control connection (ftp.cpp).
struct FtpDialogue {
  bool greeted;       // the server has said 220
  bool commanded;     // the client has given a command
  uint16_t passive;   // the reply that a passive command waits for: 227, 229 or 0
  uint16_t several;   // the code of a reply of several lines that is under way, or 0
  uint16_t expected;  // inside port that was opened last, network order; 0 for none
};

/// An endpoint as a protocol names it, in network order.
struct Endpoint {
  uint32_t address;
  uint16_t port;
};

class Alg;

/// A watched connection.
struct Watch {
  uint32_t session;  // slot
  const Alg* alg;    // null once it reads no more: what it changed still counts
  bool clientInside;
  Stream streams[2];  // by Side
  FtpDialogue ftp;
};

/// What an ALG may ask of the translator, for one control connection.
class Control {
 public:
  /// The inside end's public endpoint for a port (network order) that the remote will send to, at
  /// the connection's public address. A binding that is not there is made; until a connection of
  /// the remote's uses it, it is an expected session. False when it can't be had.
  virtual bool expect(uint8_t protocol, uint16_t insidePort, Endpoint& out) = 0;
  /// Nothing is expected there any more.
  virtual void forget(uint8_t protocol, uint16_t insidePort) = 0;

  /// Call ids are ports of `expect` that the remote uses from the start. The public endpoint of one
  /// (network order) that is there already, and the other way round.
  virtual bool outsideOf(uint8_t protocol, uint16_t insidePort, Endpoint& out) = 0;
  virtual bool insideOf(uint8_t protocol, uint16_t publicPort, uint16_t& out) = 0;
  /// A call of this inside id has this id of the remote's.
  virtual void callPaired(uint16_t insideId, uint16_t remoteId) = 0;

  virtual const Session& session() const = 0;

 protected:
  ~Control() = default;
};

/// What a segment adds to a stream.
struct Passage {
  Side side;
  const uint8_t* text;
  uint32_t length;
  uint32_t sequence;  // the sender's number of the first byte
  uint32_t room;      // bytes that the packet may still grow
  Stream& stream;

  /// Whether another stretch may be replaced, by at most so many bytes more.
  bool mayReplace(uint32_t growth) const { return stream.shift.hasRoom() && room >= growth; }
  /// Replaces [from, to) by `size` bytes, if it may. In the order of the text.
  void replace(uint32_t from, uint32_t to, const char* by, uint32_t size) {
    Edit edit{sequence + from, static_cast<uint8_t>(to - from), static_cast<uint8_t>(size), {}};
    std::memcpy(edit.text, by, size);
    stream.shift.add(edit);
    room -= edit.growth();
  }
};

class Alg {
 public:
  /// The port of its servers, host order.
  virtual uint16_t port() const = 0;
  /// Reads a passage; false when the connection is not, or no more, to be read.
  virtual bool read(Passage& passage, Watch& watch, Control& control) const = 0;

 protected:
  ~Alg() = default;
};

}  // namespace napt
