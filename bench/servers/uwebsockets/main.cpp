/* The peer of this name: an echo and a publish/subscribe server on µWebSockets.
 *
 * What it has to offer is said in ../contract.rs. Its settings are those of the library's own EchoServer example, but for
 * the compression, which is asked for, and the idle timeout, so that no ping falls into a measurement. */

#include "App.h"

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

namespace {

struct Options {
    std::string certificate;
    std::string key;
    uWS::CompressOptions compression = uWS::DISABLED;
};

/* A connection to "/" needs to know nothing. */
struct Echo {};

struct Member {
    std::string topic;
};

Options parse(int argc, char **argv) {
    Options options;
    for (int i = 1; i < argc; i++) {
        std::string_view name = argv[i];
        std::string_view value = i + 1 < argc ? argv[i + 1] : "";
        if (name == "--tls-certificate") {
            options.certificate = value;
        } else if (name == "--tls-key") {
            options.key = value;
        } else if (name == "--compression" && value == "shared") {
            options.compression = uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR);
        } else if (name == "--compression" && value == "dedicated") {
            options.compression = uWS::CompressOptions(uWS::DEDICATED_COMPRESSOR | uWS::DEDICATED_DECOMPRESSOR);
        } else {
            std::cerr << "unknown option " << name << " " << value << std::endl;
            std::exit(2);
        }
        i++;
    }
    return options;
}

template <class App>
void serve(App app, const Options &options) {
    constexpr unsigned int largest = 100 * 1024 * 1024;
    const bool compress = options.compression != uWS::DISABLED;

    app.template ws<Echo>("/", {
        .compression = options.compression,
        .maxPayloadLength = largest,
        .idleTimeout = 960,
        .maxBackpressure = largest,
        .message = [compress](auto *ws, std::string_view message, uWS::OpCode opCode) {
            ws->send(message, opCode, compress);
        },
    });
    app.template ws<Member>("/*", {
        .compression = options.compression,
        .maxPayloadLength = largest,
        .idleTimeout = 960,
        .maxBackpressure = largest,
        .upgrade = [](auto *response, auto *request, auto *context) {
            response->template upgrade<Member>({.topic = std::string(request->getUrl())},
                request->getHeader("sec-websocket-key"),
                request->getHeader("sec-websocket-protocol"),
                request->getHeader("sec-websocket-extensions"),
                context);
        },
        .open = [](auto *ws) {
            ws->subscribe(ws->getUserData()->topic);
        },
        .message = [&app, compress](auto *ws, std::string_view message, uWS::OpCode opCode) {
            app.publish(ws->getUserData()->topic, message, opCode, compress);
        },
    });
    app.listen("127.0.0.1", 0, [](auto *listening) {
        if (!listening) {
            std::cerr << "cannot listen" << std::endl;
            std::exit(1);
        }
        std::cout << us_socket_local_port(0, (us_socket_t *) listening) << std::endl;
    });
    app.run();
}

}

int main(int argc, char **argv) {
    const Options options = parse(argc, argv);
    if (options.certificate.empty()) {
        serve(uWS::App(), options);
    } else {
        serve(uWS::SSLApp({
            .key_file_name = options.key.c_str(),
            .cert_file_name = options.certificate.c_str(),
        }), options);
    }
}
