// FTP (RFC 959, RFC 2428): the address and port in PORT and EPRT of inside clients, and in the
// replies 227 and 229 of inside servers.
//
// Who can make an inside host send chosen text can try to open ports of it ("NAT slipstreaming"),
// and who speaks FTP can name others' endpoints ("bounce", RFC 2577). Therefore:
//   - the server must speak first, with 220; the first command must be one that sessions begin
//     with; what no FTP client says, above all HTTP, ends the reading for good, and so does an
//     accepted AUTH, after which nothing is readable;
//   - only a whole line counts, from the end of the line before to its own CRLF, within one
//     segment. A line that is split over segments is left as it is;
//   - only the sender's own address and ports from 1024 on, and one open port at a time;
//   - 227 and 229 only as answers to PASV and EPSV, never within a reply of several lines.
#pragma once

#include "nat/alg/alg.h"

namespace napt {

class Ftp final : public Alg {
 public:
  uint16_t port() const override { return 21; }
  bool read(Passage& passage, Watch& watch, Control& control) const override;
};

}  // namespace napt
