// Runs a fuzz target over its committed corpus, without libFuzzer: what every test run does. Each input is also fed to
// the target byte-wise truncated, so that a corpus of whole messages covers the short ones too.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  if (argc != 2 || !fs::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER (it must exist and hold at least one input)\n", argv[0]);
    return 2;
  }
  int inputs = 0;
  for (const auto& entry : fs::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> raw{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const std::vector<std::uint8_t> bytes(raw.begin(), raw.end());
    for (std::size_t size = bytes.size() > 512 ? bytes.size() - 512 : 0; size <= bytes.size(); ++size) {
      // An exact allocation, so that the address sanitizer sees one octet too far.
      const std::vector<std::uint8_t> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      LLVMFuzzerTestOneInput(exact.data(), exact.size());
    }
    ++inputs;
  }
  std::printf("%d inputs replayed\n", inputs);
  return inputs > 0 ? 0 : 1;
}
