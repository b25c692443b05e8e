#include "nat/alg/ftp.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace napt {

namespace {

using Text = std::string_view;

/// One line of a passage, or what there is of it.
struct Line {
  Text text;    // CRLF excluded
  bool whole;   // it ends here
  uint32_t at;  // where it begins in the passage
};

/// Where an endpoint, or only a port, stands in a line.
struct Found {
  Endpoint endpoint;
  size_t from, to;
};

constexpr bool isDigit(char c) { return c >= '0' && c <= '9'; }

/// Reads decimal numbers strictly, from left to right.
class Scanner {
 public:
  Scanner(Text text, size_t at) : text_(text), at_(at) {}

  size_t at() const { return at_; }
  bool atEnd() const { return at_ >= text_.size(); }
  bool skip(char c) {
    if (atEnd() || text_[at_] != c) return false;
    at_++;
    return true;
  }
  /// A number of one to five digits, no more than `most`.
  bool number(uint32_t most, uint32_t& out) {
    const size_t first = at_;
    for (out = 0; !atEnd() && isDigit(text_[at_]) && at_ - first < 5; at_++) {
      out = out * 10 + static_cast<uint32_t>(text_[at_] - '0');
    }
    return at_ != first && out <= most && (atEnd() || !isDigit(text_[at_]));
  }
  /// Four numbers as an address.
  bool address(char separator, uint32_t& out) {
    out = 0;
    for (uint32_t i = 0; i < 4; i++) {
      uint32_t octet;
      if ((i != 0 && !skip(separator)) || !number(255, octet)) return false;
      out |= octet << (8 * i);
    }
    return true;
  }

 private:
  Text text_;
  size_t at_;
};

/// "h1,h2,h3,h4,p1,p2"
bool scanNumbers(Text line, size_t at, Found& out) {
  Scanner scan(line, at);
  uint32_t high, low;
  const bool found = scan.address(',', out.endpoint.address) && scan.skip(',') &&
                     scan.number(255, high) && scan.skip(',') && scan.number(255, low);
  if (!found) return false;
  out.endpoint.port = swap16(static_cast<uint16_t>(high << 8 | low));
  out.from = at;
  out.to = scan.at();
  return true;
}

constexpr bool isDelimiter(char c) { return c > 32 && c < 127; }

/// "|1|address|port|", and no more in the line
bool scanExtended(Text line, size_t at, Found& out) {
  if (at >= line.size() || !isDelimiter(line[at])) return false;
  const char bar = line[at];
  Scanner scan(line, at);
  uint32_t family, port;
  if (!scan.skip(bar) || !scan.number(9, family) || family != 1 || !scan.skip(bar)) return false;
  out.from = scan.at();
  if (!scan.address('.', out.endpoint.address) || !scan.skip(bar) || !scan.number(65535, port)) {
    return false;
  }
  out.to = scan.at();
  out.endpoint.port = swap16(static_cast<uint16_t>(port));
  return scan.skip(bar) && scan.atEnd();
}

/// "(|||port|)"
bool scanPassive(Text line, Found& out) {
  const size_t open = line.find('(');
  if (open == Text::npos || open + 1 >= line.size() || !isDelimiter(line[open + 1])) return false;
  const char bar = line[open + 1];
  Scanner scan(line, open + 1);
  uint32_t port;
  if (!scan.skip(bar) || !scan.skip(bar) || !scan.skip(bar)) return false;
  out.from = scan.at();
  if (!scan.number(65535, port)) return false;
  out.to = scan.at();
  out.endpoint.port = swap16(static_cast<uint16_t>(port));
  return scan.skip(bar) && scan.skip(')');
}

/// The command word in capitals: letters up to a space or the end. Empty if there is none that a
/// command could be: RFC 959, section 5.3 has three or four letters.
struct Word {
  char letters[5] = {};
  bool operator==(Text other) const { return Text(letters) == other; }
};
Word wordOf(Text line) {
  Word word;
  const size_t length = std::min(line.find(' '), line.size());
  if (length < 3 || length > 4) return word;
  for (size_t i = 0; i < length; i++) {
    const char c = line[i] >= 'a' && line[i] <= 'z' ? static_cast<char>(line[i] - 32) : line[i];
    if (c < 'A' || c > 'Z') return Word{};
    word.letters[i] = c;
  }
  return word;
}

template <size_t N>
bool isOneOf(const Word& word, const Text (&words)[N]) {
  return std::any_of(words, words + N, [&](Text w) { return word == w; });
}
/// What a session begins with.
constexpr Text kFirstCommands[] = {"USER", "AUTH", "FEAT", "HOST", "OPTS", "SYST", "QUIT",
                                   "NOOP", "HELP", "CLNT", "LANG", "STAT", "ACCT", "REIN"};
constexpr Text kHttpMethods[] = {"GET", "PUT", "POST", "HEAD"};  // those that are short enough

/// The code of a reply: three digits, and the space or hyphen after them.
uint16_t codeOf(Text line) {
  if (line.size() < 4 || (line[3] != ' ' && line[3] != '-')) return 0;
  for (size_t i = 0; i < 3; i++) {
    if (!isDigit(line[i])) return 0;
  }
  return static_cast<uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
}

/// One reading of one passage.
class Reading {
 public:
  Reading(Passage& passage, Watch& watch, Control& control)
      : passage_(passage),
        stream_(passage.stream),
        watch_(watch),
        ftp_(watch.ftp),
        control_(control) {}

  bool run() {
    const bool fromClient = (passage_.side == kOut) == watch_.clientInside;
    const Text text(reinterpret_cast<const char*>(passage_.text), passage_.length);
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find("\r\n", at);
      const bool whole = end != Text::npos, known = stream_.atStart;
      const Line line{text.substr(at, whole ? end - at : Text::npos), whole,
                      static_cast<uint32_t>(at)};
      stream_.atStart = whole;
      at = whole ? end + 2 : text.size();
      if (fromClient && !ftp_.greeted) return false;  // who speaks first is no FTP client
      if (known && !(fromClient ? command(line) : reply(line))) return false;
    }
    return true;
  }

 private:
  bool command(const Line& line) {
    if (!line.whole) return ftp_.commanded;
    constexpr char kInterpretAsCommand = '\xff';  // telnet's, before ABOR
    if (!line.text.empty() && line.text[0] == kInterpretAsCommand) return ftp_.commanded;
    const Word word = wordOf(line.text);
    if (word == "" || isOneOf(word, kHttpMethods)) return false;
    if (!ftp_.commanded && !isOneOf(word, kFirstCommands)) return false;
    ftp_.commanded = true;
    if (word == "PASV") ftp_.passive = 227;
    if (word == "EPSV") ftp_.passive = 229;
    if (!watch_.clientInside) return true;
    Found found;
    constexpr size_t kArgument = 5;
    if (word == "PORT" && scanNumbers(line.text, kArgument, found) &&
        found.to == line.text.size()) {
      replaceNumbers(line, found);
    }
    if (word == "EPRT" && scanExtended(line.text, kArgument, found)) {
      const char bar = line.text[kArgument];
      replace(line, found, [&](Endpoint e, char* to, size_t size) {
        const uint8_t* a = reinterpret_cast<const uint8_t*>(&e.address);
        return std::snprintf(to, size, "%u.%u.%u.%u%c%u", a[0], a[1], a[2], a[3], bar,
                             unsigned{swap16(e.port)});
      });
    }
    return true;
  }

  bool reply(const Line& line) {
    const uint16_t code = codeOf(line.text);
    if (!ftp_.greeted) {
      ftp_.greeted = code == 220;
      if (!ftp_.greeted) return false;
    }
    if (code == 0) return true;
    const bool more = line.text[3] == '-';
    if (ftp_.several != 0) {
      if (code == ftp_.several && !more) ftp_.several = 0;
      return true;  // the other lines may say anything
    }
    if (more) ftp_.several = code;
    constexpr uint16_t kAccepted = 234, kAcceptedMore = 334;  // AUTH (RFC 2228)
    if (code == kAccepted || code == kAcceptedMore) return false;
    const uint16_t passive = ftp_.passive;
    if (code == passive || code >= 400) ftp_.passive = 0;
    if (code != passive || watch_.clientInside || !line.whole || more) return true;
    Found found;
    if (code == 227) {
      // RFC 1123, section 4.1.2.6: the numbers begin with the first digit.
      size_t at = 4;
      while (at < line.text.size() && !isDigit(line.text[at])) at++;
      if (scanNumbers(line.text, at, found)) replaceNumbers(line, found);
    } else if (scanPassive(line.text, found)) {
      found.endpoint.address = control_.session().inside;
      replace(line, found, [](Endpoint e, char* to, size_t size) {
        return std::snprintf(to, size, "%u", unsigned{swap16(e.port)});
      });
    }
    return true;
  }

  void replaceNumbers(const Line& line, const Found& found) {
    replace(line, found, [](Endpoint e, char* to, size_t size) {
      const uint8_t* a = reinterpret_cast<const uint8_t*>(&e.address);
      const unsigned port = swap16(e.port);
      return std::snprintf(to, size, "%u,%u,%u,%u,%u,%u", a[0], a[1], a[2], a[3], port >> 8,
                           port & 255);
    });
  }

  /// Opens a port for the endpoint that was found, and names the public one in its place.
  template <class Print>
  void replace(const Line& line, const Found& found, Print print) {
    constexpr uint16_t kLeastPort = 1024;  // RFC 2577, section 3
    const uint16_t port = found.endpoint.port;
    if (found.endpoint.address != control_.session().inside || swap16(port) < kLeastPort ||
        !passage_.mayReplace(Edit::kMost)) {
      return;
    }
    if (ftp_.expected != 0 && ftp_.expected != port) control_.forget(kTcp, ftp_.expected);
    Endpoint e;
    ftp_.expected = 0;
    if (!control_.expect(kTcp, port, e)) return;
    ftp_.expected = port;
    char by[Edit::kMost + 1];
    const int size = print(e, by, sizeof by);
    passage_.replace(line.at + static_cast<uint32_t>(found.from),
                     line.at + static_cast<uint32_t>(found.to), by, static_cast<uint32_t>(size));
  }

  Passage& passage_;
  Stream& stream_;
  Watch& watch_;
  FtpDialogue& ftp_;
  Control& control_;
};

}  // namespace

bool Ftp::read(Passage& passage, Watch& watch, Control& control) const {
  return Reading(passage, watch, control).run();
}

}  // namespace napt
