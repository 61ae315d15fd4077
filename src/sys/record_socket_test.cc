#include "sys/record_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace stile::sys {
namespace {

TEST(RecordSocket, OneSendIsOneReceive) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  const std::vector<std::uint8_t> large(64 * 1024, 7);
  const std::array<std::uint8_t, 3> small{1, 2, 3};
  ASSERT_TRUE(send_record(pair->here.get(), small));
  ASSERT_TRUE(send_record(pair->here.get(), large));
  std::vector<std::uint8_t> room(64 * 1024);
  EXPECT_EQ(receive_record(pair->there.get(), room).value_or(0), 3U);
  EXPECT_EQ(receive_record(pair->there.get(), room).value_or(0), large.size());
  EXPECT_EQ(receive_record(pair->there.get(), room).error().kind, ErrorKind::would_block);
}

TEST(RecordSocket, TwoMeetAtAPath) {
  const std::string path = ::testing::TempDir() + "stile-records-" + std::to_string(::getpid());
  EXPECT_EQ(connect_records(path).error().kind, ErrorKind::not_found);
  EXPECT_FALSE(connect_records(std::string(200, 'x')));
  const UniqueFd listening{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_FALSE(connect_records(path)) << "nobody listens there";
  ASSERT_EQ(::listen(listening.get(), 0), 0);
  EXPECT_EQ(accept_records(listening.get()).error().kind, ErrorKind::would_block);
  auto here = connect_records(path);
  ASSERT_TRUE(here);
  EXPECT_EQ(connect_records(path).error().kind, ErrorKind::would_block) << "there is room for one to wait";
  auto there = accept_records(listening.get());
  ASSERT_TRUE(there);
  EXPECT_EQ(peer_user(there->get()), ::geteuid());
  const std::array<std::uint8_t, 3> record{1, 2, 3};
  ASSERT_TRUE(send_record(here->get(), record));
  std::array<std::uint8_t, 8> room{};
  EXPECT_EQ(receive_record(there->get(), room).value_or(0), 3U);
  there->reset();
  EXPECT_EQ(receive_record(here->get(), room).error().kind, ErrorKind::reset);
  ::unlink(path.c_str());
}

TEST(RecordSocket, WhatDoesNotFitIsLostAsAWhole) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  const std::array<std::uint8_t, 5> record{1, 2, 3, 4, 5};
  ASSERT_TRUE(send_record(pair->here.get(), record));
  ASSERT_TRUE(send_record(pair->here.get(), std::span(record).first(4)));
  std::array<std::uint8_t, 4> room{};
  EXPECT_EQ(receive_record(pair->there.get(), room).error().kind, ErrorKind::message_too_big);
  EXPECT_EQ(receive_record(pair->there.get(), room).value_or(0), 4U);
}

TEST(RecordSocket, WhoDoesNotReadBlocksNobody) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  const std::vector<std::uint8_t> record(1024, 7);
  Result<void> sent;
  for (int i = 0; i < 100'000 && sent; ++i) sent = send_record(pair->here.get(), record);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::would_block);
}

TEST(RecordSocket, ADescriptorIsHandedOver) {
  auto pair = record_pair();
  auto handed = record_pair();
  ASSERT_TRUE(pair && handed);
  EXPECT_EQ(receive_descriptor(pair->there.get()).error().kind, ErrorKind::would_block);
  ASSERT_TRUE(send_descriptor(pair->here.get(), std::move(handed->here)));
  const auto received = receive_descriptor(pair->there.get());
  ASSERT_TRUE(received);
  const std::array<std::uint8_t, 2> record{1, 2};
  std::array<std::uint8_t, 4> room{};
  ASSERT_TRUE(send_record(received->get(), record));
  EXPECT_EQ(receive_record(handed->there.get(), room).value_or(0), 2U);
}

TEST(RecordSocket, OrWhyThereIsNone) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  ASSERT_TRUE(send_descriptor(pair->here.get(), std::unexpected(Error{ErrorKind::no_descriptors, EMFILE})));
  EXPECT_EQ(receive_descriptor(pair->there.get()).error().os_code, EMFILE);
  const std::array<std::uint8_t, 9> record{};
  ASSERT_TRUE(send_record(pair->here.get(), std::span(record).first(4)));
  EXPECT_EQ(receive_descriptor(pair->there.get()).error().kind, ErrorKind::invalid);
  ASSERT_TRUE(send_record(pair->here.get(), record));
  EXPECT_EQ(receive_descriptor(pair->there.get()).error().kind, ErrorKind::invalid);
  pair->here.reset();
  EXPECT_EQ(receive_descriptor(pair->there.get()).error().kind, ErrorKind::reset);
}

TEST(RecordSocket, TheEndOfTheOtherSideIsSeen) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  pair->there.reset();
  std::array<std::uint8_t, 4> room{};
  EXPECT_EQ(receive_record(pair->here.get(), room).error().kind, ErrorKind::reset);
  EXPECT_EQ(send_record(pair->here.get(), room).error().kind, ErrorKind::reset);
}

TEST(RecordSocket, TwoMeetAtANameThatIsNoFile) {
  const std::string name = "stile-test-" + std::to_string(::getpid());
  auto listening = listen_records(name);
  ASSERT_TRUE(listening);
  EXPECT_EQ(listen_records(name).error().kind, ErrorKind::address_in_use);
  EXPECT_EQ(listen_records(std::string(200, 'x')).error().os_code, ENAMETOOLONG);
  EXPECT_EQ(accept_records(listening->get()).error().kind, ErrorKind::would_block);
  const UniqueFd caller(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  ASSERT_EQ(::connect(caller.get(), reinterpret_cast<const sockaddr*>(&address),
                      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
            0);
  auto link = accept_records(listening->get());
  ASSERT_TRUE(link);
  auto peer = peer_process(link->get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->id, ::getpid());
  pollfd watch{.fd = peer->watch.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&watch, 1, 0), 0);  // it has not ended
  listening->reset();
  EXPECT_TRUE(listen_records(name));
}

}  // namespace
}  // namespace stile::sys
