#include "session/trace.h"

#include "session/server_session.h"

namespace stile::session {

std::string to_text(const TraceRing& ring) {
  std::string text;
  ring.each([&text](const TraceEntry& entry) {
    text += "+" + std::to_string(entry.milliseconds) + "ms ";
    text += name(static_cast<Phase>(entry.phase));
    text += " ";
    text += event_name(entry.event);
    text += ":";
    for (const std::uint8_t pair : entry.actions) {
      for (const int code : {pair & 0x0F, pair >> 4}) {
        if (code == 0) continue;
        text += " ";
        text += action_name(static_cast<std::size_t>(code - 1));
      }
    }
    text += "\n";
  });
  return text;
}

}  // namespace stile::session
