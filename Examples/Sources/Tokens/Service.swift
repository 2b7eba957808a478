// SPDX-License-Identifier: Apache-2.0

import ExampleSupport
import Plinth

/// A client's request.
struct Generation: Decodable {
    var prompt: String
}

/// The data of the last event of a complete answer.
struct Summary: Encodable {
    var tokens: Int
}

/// The response to the client if an error occurs before the first token.
func status(for error: ModelError) -> HTTPError {
    switch error {
    case .busy: HTTPError(.tooManyRequests, "\(error.rawValue); try again", headers: [.retryAfter: "2"])
    case .overloaded: HTTPError(.serviceUnavailable, "\(error.rawValue); try again", headers: [.retryAfter: "30"])
    case .broken: HTTPError(.badGateway, error.rawValue)
    }
}

/// The stream of an answer.
///
/// The head is written with the first token. An error before it becomes a status; `onError` turns a later one into a
/// last event.
func generate(with model: Model) -> Interceptor {
    let options = EventStreamOptions(
        opens: .withFirstEvent,
        onError: { error in
            ServerSentEvent(type: "error", data: (error as? ModelError)?.rawValue ?? "internal error")
        }
    )
    return .eventStream("generate", options: options) { events, context in
        let generation = try await context.request.decode(Generation.self, upTo: 64 * 1024)
        var count = 0
        do {
            try await model.places.withPlace {
                for try await token in model.tokens(for: generation.prompt) {
                    // False: the client has left. The task is also cancelled, and with it a token being generated.
                    guard await events.send(.init(type: "token", data: token)) else { throw CancellationError() }
                    count += 1
                }
            }
            try await events.send(Summary(tokens: count), type: "done")
            say("generate: complete after \(count) tokens")
        } catch is CancellationError {
            say("generate: cancelled after \(count) tokens")
            throw CancellationError()
        } catch let error as ModelError {
            say("generate: \(error.rawValue) after \(count) tokens")
            throw count == 0 ? status(for: error) : error
        }
    }
}

/// `POST /generate` with `{"prompt": "…"}`.
func service(model: Model) throws -> Chain {
    try Chain.default(
        Routes {
            Route.post("/generate", generate(with: model))
        }
    )
}
