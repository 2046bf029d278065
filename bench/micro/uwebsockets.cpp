/* What µWebSockets does with every byte of a message, in GB/s: a line "GROUP<tab>BYTES<tab>GB/s" for each. The data is that
 * of benches/every_byte.rs. */

#include "App.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int SAMPLES = 21;
constexpr auto SAMPLE = std::chrono::milliseconds(20);

/* The compiler must take what lies at `data` for read. */
void keep(const void *data) {
    asm volatile("" : : "g"(data) : "memory");
}

/* Prints how fast `step` gets through `bytes`: the median of samples. */
template <typename Step>
void measure(const char *group, size_t size, size_t bytes, Step step) {
    std::vector<double> rates;
    for (int sample = 0; sample < SAMPLES; sample++) {
        size_t steps = 0;
        auto start = Clock::now(), now = start;
        do {
            for (int i = 0; i < 16; i++) {
                step();
            }
            steps += 16;
            now = Clock::now();
        } while (now - start < SAMPLE);
        rates.push_back(double(steps * bytes) / double(std::chrono::nanoseconds(now - start).count()));
    }
    std::sort(rates.begin(), rates.end());
    std::printf("%s\t%zu\t%.4f\n", group, size, rates[SAMPLES / 2]);
    std::fflush(stdout);
}

/* The parser of a server's connection, and what it hands over. */
struct Parser : uWS::WebSocketProtocol<true, Parser> {
    static bool setCompressed(uWS::WebSocketState<true> *, void *) { return false; }
    static void forceClose(uWS::WebSocketState<true> *, void *, std::string_view = {}) { std::abort(); }
    static bool refusePayloadLength(uint64_t, uWS::WebSocketState<true> *, void *) { return false; }
    static bool handleFragment(char *data, size_t length, unsigned int, int, bool, uWS::WebSocketState<true> *, void *user) {
        keep(data);
        *(size_t *) user += length;
        return false;
    }
    static void unmask(char *data, size_t length, char *key) {
        unmaskInplace(data, data + length, key);
    }
};

std::string frame(size_t length) {
    const unsigned char key[4] = {0x37, 0xFA, 0x21, 0x3D};
    std::string frame = "\x82";
    if (length <= 125) {
        frame += char(0x80 | length);
    } else if (length <= 0xFFFF) {
        frame += char(0xFE);
        frame += char(length >> 8);
        frame += char(length);
    } else {
        frame += char(0xFF);
        for (int shift = 56; shift >= 0; shift -= 8) {
            frame += char(length >> shift);
        }
    }
    frame.append((const char *) key, 4);
    for (size_t n = 0; n < length; n++) {
        frame += char((unsigned char) n ^ key[n % 4]);
    }
    return frame;
}

std::string json(size_t length) {
    std::string text;
    for (unsigned long number = 1; text.length() < length; number++) {
        char record[128];
        std::snprintf(record, sizeof record, "{\"id\":%lu,\"name\":\"salmon %lu\",\"at\":[%lu,%lu],\"ok\":true},",
            number, number * 7919 % 1000, number * 31 % 97, number * 17 % 89);
        text += record;
    }
    text.resize(length);
    return text;
}

void unmask(size_t size) {
    std::string payload(size, 0x55);
    char key[4] = {0x37, char(0xFA), 0x21, 0x3D};
    measure("unmask", size, size, [&] {
        Parser::unmask(payload.data(), size, key);
        keep(payload.data());
    });
}

void check(const char *group, const std::string &character, size_t size) {
    std::string text;
    while (text.length() + character.length() <= size) {
        text += character;
    }
    measure(group, size, text.length(), [&] {
        if (!uWS::protocol::isValidUtf8((unsigned char *) text.data(), text.length())) {
            std::abort();
        }
        keep(text.data());
    });
}

void frames(size_t size) {
    /* Reads come from memory, as many bytes at once as the library reads from a socket at most. */
    constexpr size_t READ = 512 * 1024, PADDING = 32;
    const std::string one = frame(size);
    std::string stream;
    while (stream.length() < READ) {
        stream += one;
    }
    std::vector<char> buffer(READ + 2 * PADDING);
    uWS::WebSocketState<true> state;
    size_t at = 0, received = 0, read = std::min(READ, stream.length());
    measure("frames", size, read * size / one.length(), [&] {
        const size_t first = std::min(read, stream.length() - at);
        std::memcpy(buffer.data() + PADDING, stream.data() + at, first);
        std::memcpy(buffer.data() + PADDING + first, stream.data(), read - first);
        at = (at + read) % stream.length();
        Parser::consume(buffer.data() + PADDING, (unsigned int) read, &state, &received);
    });
}

void compression(size_t size) {
    const std::string message = json(size);
    uWS::ZlibContext context;
    uWS::DeflationStream deflation(uWS::CompressOptions(uWS::DEDICATED_COMPRESSOR | uWS::DEDICATED_DECOMPRESSOR));
    uWS::InflationStream inflation(uWS::CompressOptions(uWS::DEDICATED_COMPRESSOR | uWS::DEDICATED_DECOMPRESSOR));
    measure("deflate", size, size, [&] {
        keep(deflation.deflate(&context, message, true).data());
    });
    std::string compressed(deflation.deflate(&context, message, true));
    const size_t length = compressed.length();
    compressed.append(16, '\0');
    measure("inflate", size, size, [&] {
        auto inflated = inflation.inflate(&context, std::string_view(compressed.data(), length), 1 << 24, true);
        if (!inflated || inflated->length() != size) {
            std::abort();
        }
        keep(inflated->data());
    });
}

}

int main() {
    for (size_t size : {20, 1024, 64 * 1024}) {
        unmask(size);
        check("check ascii", "s", size);
        check("check chinese", "鮭", size);
        check("check emoji", "🐟", size);
        frames(size);
    }
    for (size_t size : {125, 1000, 16 * 1024}) {
        compression(size);
    }
}
