// The keeper of tickets with a source that is no KDC, in a process of its own as in a server.
#include "protect/ticket_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "protect/gss.h"
#include "sys/wait_any.h"

namespace stile::protect {
namespace {

using namespace std::chrono_literals;

WallTime today() {
  return std::chrono::floor<WallTime::duration>(std::chrono::system_clock::now());
}

/// The wish says what becomes of it: its service is "good", "bad", "late" (bad the first time), "brief" (it lasts for
/// two seconds), "stuck" (never answered) or "odd" (a ticket that nobody understands).
class SourceToSee final : public TicketSource {
 public:
  std::expected<GotTicket, std::string> get(const TicketWish& wish) override {
    const int times = ++asked_[wish.service];
    if (wish.service == "bad" || (wish.service == "late" && times == 1))
      return std::unexpected("no key for " + wish.host);
    while (wish.service == "stuck") ::pause();
    return GotTicket{.client = "gate",
                     .service = wish.service + "/" + wish.host,
                     .expires = today() + (wish.service == "brief" ? 2s : 3600s),
                     .exported = Secret(wish.service == "odd" ? "?" : std::to_string(times))};
  }
  void forget() noexcept override { asked_.clear(); }

 private:
  std::map<std::string, int> asked_;
};

struct TicketToSee final : GssTicket {
  TicketToSee(std::string octets, std::string of, WallTime expires)
      : GssTicket(expires), exported(std::move(octets)), service(std::move(of)) {}
  [[nodiscard]] std::unique_ptr<GssInitiator> initiator() const override { return nullptr; }

  std::string exported;
  std::string service;
};

class TicketKeeperTest : public testing::Test {
 protected:
  TicketKeeperTest() {
    auto started = TicketKeeper::start(
        [] { return true; },
        {.source = [] { return std::make_unique<SourceToSee>(); },
         .import = [](ConstBytes octets, std::string service, WallTime expires) -> std::shared_ptr<const GssTicket> {
           std::string text(octets.begin(), octets.end());
           if (text == "?") return nullptr;
           return std::make_shared<TicketToSee>(std::move(text), std::move(service), expires);
         }});
    if (started) keeper = std::move(*started);
  }
  static std::shared_ptr<GssTicketPlace> place(std::string service, std::string host = "h") {
    return std::make_shared<GssTicketPlace>(
        TicketWish{.service = std::move(service), .host = std::move(host), .keytab = "k", .principal = ""});
  }
  static const TicketToSee* found(const GssTicketPlace& place) {
    return dynamic_cast<const TicketToSee*>(place.ticket(today()).get());
  }
  /// Listens until it is so, and keeps what is told; the time is a bound for a test that has failed.
  template <class Condition>
  bool hears(Condition condition) {
    for (const Duration end = sys::monotonic_now() + 20s; sys::monotonic_now() < end;) {
      for (TicketNews& one : keeper->hear()) news.push_back(std::move(one));
      if (condition()) return true;
      std::array watched{sys::Waited{.descriptor = keeper->descriptor()}};
      (void)sys::wait_any(watched, 100ms);
    }
    return false;
  }

  std::unique_ptr<TicketKeeper> keeper;
  std::vector<TicketNews> news;
};

TEST_F(TicketKeeperTest, PutsTicketsInTheirPlacesAndTellsThemOnce) {
  ASSERT_NE(keeper, nullptr);
  const auto one = place("good", "a");
  const auto other = place("good", "b");
  const auto same = place("good", "a");
  keeper->want({one, other, same});
  news = keeper->await(20s);
  ASSERT_EQ(news.size(), 2U) << "a wish, however many places it has";
  EXPECT_EQ(news[0].service, "good/a");
  EXPECT_EQ(news[0].client, "gate");
  EXPECT_EQ(news[0].why, "");
  EXPECT_TRUE(news[0].expires);
  ASSERT_NE(found(*one), nullptr);
  EXPECT_EQ(found(*one)->service, "good/a");
  EXPECT_EQ(found(*same), found(*one));
  EXPECT_EQ(found(*other)->service, "good/b");
  EXPECT_EQ(one->ticket(today() + 2h), nullptr) << "it is no longer valid then";
}

TEST_F(TicketKeeperTest, TellsTroubleOnceAndThatItIsOver) {
  ASSERT_NE(keeper, nullptr);
  const auto late = place("late");
  keeper->want({late, place("bad"), place("odd")});
  news = keeper->await(20s);
  ASSERT_TRUE(hears([&] { return found(*late) != nullptr; }));
  std::vector<std::string> told;
  for (const TicketNews& one : news) told.push_back(one.why + one.client);
  EXPECT_EQ(told, (std::vector<std::string>{"no key for h", "no key for h", "the ticket cannot be used", "gate"}));
  for (const TicketNews& one : news) EXPECT_EQ(one.expires.has_value(), one.why.empty());
}

TEST_F(TicketKeeperTest, RenewsInTimeWithoutAWord) {
  ASSERT_NE(keeper, nullptr);
  const auto brief = place("brief");
  keeper->want({brief});
  ASSERT_TRUE(hears([&] { return found(*brief) != nullptr && std::stoi(found(*brief)->exported) >= 3; }));
  EXPECT_EQ(news.size(), 1U);
}

TEST_F(TicketKeeperTest, AnotherListKeepsWhatIsAtHand) {
  ASSERT_NE(keeper, nullptr);
  const auto before = place("good");
  keeper->want({before});
  (void)keeper->await(20s);
  const auto after = place("good");
  const auto more = place("good", "more");
  keeper->want({more, after});
  EXPECT_NE(found(*after), nullptr) << "at once";
  news = keeper->await(20s);
  ASSERT_TRUE(hears([&] { return found(*more) != nullptr; }));
  ASSERT_EQ(news.size(), 1U);
  EXPECT_EQ(news[0].service, "good/more");
  keeper->want({});
  EXPECT_TRUE(keeper->await(20s).empty());
}

TEST_F(TicketKeeperTest, OneThatIsStuckHoldsNobodyUp) {
  ASSERT_NE(keeper, nullptr);
  keeper->want({place("stuck")});
  EXPECT_TRUE(keeper->await(1ms).empty());
  // Lists that it does not read come to their end; nothing waits for it.
  for (int i = 0; i < 2'000; ++i) keeper->want({place("stuck"), place("good")});
  EXPECT_FALSE(keeper->ended());
  keeper.reset();
}

TEST_F(TicketKeeperTest, OneThatEndsIsSeen) {
  auto started = TicketKeeper::start([] { return false; }, {});
  ASSERT_TRUE(started);
  const auto none = place("good");
  (*started)->want({none});
  EXPECT_TRUE((*started)->await(20s).empty());
  EXPECT_TRUE((*started)->ended());
  EXPECT_EQ((*started)->descriptor(), -1);
  EXPECT_EQ(found(*none), nullptr);
}

TEST(GssTicketPlace, AnyThreadTakesWhatAnotherPuts) {
  GssTicketPlace place(TicketWish{});
  constexpr int last = 2'000;
  std::vector<std::thread> takers;
  for (int i = 0; i < 2; ++i) {
    takers.emplace_back([&place] {
      for (int newest = 0; newest < last;) {
        const auto ticket = std::dynamic_pointer_cast<const TicketToSee>(place.ticket(WallTime{}));
        if (ticket == nullptr) continue;
        const int number = std::stoi(ticket->exported);
        EXPECT_GE(number, newest);
        newest = number;
      }
    });
  }
  for (int i = 1; i <= last; ++i) {
    place.put(std::make_shared<TicketToSee>(std::to_string(i), "rcmd/h", today()));
  }
  for (std::thread& taker : takers) taker.join();
}

TEST(TicketSchedule, HalfALifeAndPausesThatDouble) {
  TicketSchedule schedule;
  EXPECT_EQ(schedule.due(), 0s);
  schedule.got(100s, 3600s);
  EXPECT_EQ(schedule.due(), 1900s);
  schedule.got(100s, 1s);
  EXPECT_EQ(schedule.due(), 100s + ticket_renewal_min);
  schedule.got(100s, -5s);
  EXPECT_EQ(schedule.due(), 100s + ticket_renewal_min) << "clocks that disagree are no reason to ask without a pause";
  Duration pause = ticket_pause_first;
  for (int i = 0; i < 20; ++i) {
    schedule.failed(0s);
    EXPECT_EQ(schedule.due(), pause);
    pause = std::min(2 * pause, ticket_pause_max);
  }
  schedule.got(0s, 10s);
  schedule.failed(0s);
  EXPECT_EQ(schedule.due(), ticket_pause_first);
}

}  // namespace
}  // namespace stile::protect
