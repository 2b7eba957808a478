// swift-tools-version: 6.2
import PackageDescription

// The settings of every target. Warnings are errors in our own builds only: the setting does not affect packages that
// depend on Plinth.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Conditions of dependencies that are fetched only if their trait is enabled.
let server: TargetDependencyCondition? = .when(traits: ["Server"])
let command: TargetDependencyCondition? = .when(traits: ["Command"])
let client: TargetDependencyCondition? = .when(traits: ["Client"])
let sqlite: TargetDependencyCondition? = .when(traits: ["SQLite"])
let jwt: TargetDependencyCondition? = .when(traits: ["JWT"])
let serving: TargetDependencyCondition? = .when(traits: ["Command", "Server"])

let package = Package(
    name: "plinth",
    platforms: [.macOS(.v15), .iOS(.v18), .macCatalyst(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: [
        .library(name: "PlinthEvents", targets: ["PlinthEvents"]),
        .library(name: "Plinth", targets: ["Plinth"]),
        .library(name: "PlinthHub", targets: ["PlinthHub"]),
        .library(name: "PlinthSQLite", targets: ["PlinthSQLite"]),
        .library(name: "PlinthJWT", targets: ["PlinthJWT"]),
        .library(name: "PlinthServer", targets: ["PlinthServer"]),
        .library(name: "PlinthClient", targets: ["PlinthClient"]),
        .library(name: "PlinthTesting", targets: ["PlinthTesting"]),
        .library(name: "PlinthHubTesting", targets: ["PlinthHubTesting"]),
        .executable(name: "plinth", targets: ["PlinthCLI"]),
    ],
    traits: [
        .trait(name: "Server", description: "The connector PlinthServer: Hummingbird's server, NIO, ServiceLifecycle."),
        .trait(name: "Client", description: "The client PlinthClient: AsyncHTTPClient."),
        .trait(name: "SQLite", description: "The history PlinthSQLite: GRDB, and SQLite's headers."),
        .trait(name: "JWT", description: "JSON Web Tokens, PlinthJWT: swift-crypto."),
        .trait(name: "Command", description: "The command-line tool `plinth`: ArgumentParser, Configuration."),
        .default(enabledTraits: ["Server", "Client", "SQLite", "JWT", "Command"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-collections", from: "1.2.0", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.9.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.6.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.1.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["JSON"]),
    ],
    targets: [
        .target(name: "PlinthEvents"),
        // The stream types that `Plinth` and `PlinthHub` share. Not a product: both re-export its public API.
        .target(name: "PlinthStreams", dependencies: ["PlinthEvents"]),
        .target(
            name: "Plinth",
            dependencies: [
                "PlinthEvents", "PlinthStreams",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]
        ),
        .target(
            name: "PlinthHub",
            dependencies: [
                "PlinthEvents", "PlinthStreams",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
            ]
        ),
        .target(
            name: "PlinthSQLite",
            dependencies: [
                "PlinthHub", "PlinthStreams",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "GRDB", package: "GRDB.swift", condition: sqlite),
                .product(name: "GRDBSQLite", package: "GRDB.swift", condition: sqlite),
            ]
        ),
        .target(
            name: "PlinthJWT",
            dependencies: [
                "PlinthHub", "PlinthStreams",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "CryptoExtras", package: "swift-crypto", condition: jwt),
                .product(name: "Crypto", package: "swift-crypto", condition: jwt),
            ]
        ),
        .systemLibrary(name: "CPlinthLinux"),
        .target(
            name: "PlinthReactor",
            dependencies: [
                "PlinthHub", "CPlinthLinux",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "PlinthServer",
            dependencies: [
                "Plinth",
                "PlinthHub",
                .target(name: "PlinthReactor", condition: .when(platforms: [.linux])),
                .target(name: "CPlinthLinux", condition: .when(platforms: [.linux])),
                .product(name: "HummingbirdCore", package: "hummingbird", condition: server),
                .product(name: "HummingbirdTLS", package: "hummingbird", condition: server),
                .product(name: "HummingbirdHTTP2", package: "hummingbird", condition: server),
                .product(name: "Crypto", package: "swift-crypto", condition: server),
                .product(name: "NIOCore", package: "swift-nio", condition: server),
                .product(name: "NIOPosix", package: "swift-nio", condition: server),
                .product(name: "NIOHTTP1", package: "swift-nio", condition: server),
                .product(name: "NIOTLS", package: "swift-nio", condition: server),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras", condition: server),
                .product(name: "NIOHTTP2", package: "swift-nio-http2", condition: server),
                .product(name: "NIOHPACK", package: "swift-nio-http2", condition: server),
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: server),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: server),
                .product(name: "UnixSignals", package: "swift-service-lifecycle", condition: server),
            ],
            // The hub's page is compiled in, so no files are needed at run time.
            resources: [
                .embedInCode("Hub/Page/hub.html"), .embedInCode("Hub/Page/hub.css"),
                .embedInCode("Hub/Page/hub.js"), .embedInCode("Hub/Page/hub-worker.js"),
            ]
        ),
        .target(
            name: "PlinthClient",
            dependencies: [
                "PlinthEvents", "PlinthStreams",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "AsyncHTTPClient", package: "async-http-client", condition: client),
                .product(name: "NIOCore", package: "swift-nio", condition: client),
                .product(name: "NIOHTTP1", package: "swift-nio", condition: client),
                .product(name: "NIOPosix", package: "swift-nio", condition: client),
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: client),
            ]
        ),
        .target(name: "PlinthTesting", dependencies: ["Plinth"]),
        .target(name: "PlinthHubTesting", dependencies: ["PlinthHub", "PlinthEvents"]),
        .executableTarget(
            name: "PlinthCLI",
            dependencies: [
                "PlinthEvents", "PlinthStreams",
                .target(name: "Plinth", condition: serving),
                .target(name: "PlinthHub", condition: serving),
                .target(name: "PlinthServer", condition: serving),
                .target(name: "PlinthSQLite", condition: .when(traits: ["Command", "SQLite"])),
                .target(name: "PlinthJWT", condition: .when(traits: ["Command", "JWT"])),
                .product(name: "Logging", package: "swift-log", condition: serving),
                .product(name: "Configuration", package: "swift-configuration", condition: serving),
                .product(name: "UnixSignals", package: "swift-service-lifecycle", condition: serving),
                .target(name: "PlinthClient", condition: client),
                .product(name: "HTTPTypes", package: "swift-http-types", condition: client),
                .product(name: "AsyncHTTPClient", package: "async-http-client", condition: client),
                .product(name: "NIOCore", package: "swift-nio", condition: client),
                .product(name: "NIOPosix", package: "swift-nio", condition: client),
                .product(name: "NIOHTTP1", package: "swift-nio", condition: client),
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: client),
                .product(name: "ArgumentParser", package: "swift-argument-parser", condition: command),
            ],
            // The templates of `plinth new`.
            resources: [
                .embedInCode("New/Templates/Package.swift.txt"),
                .embedInCode("New/Templates/README.md.txt"),
                .embedInCode("New/Templates/gitignore.txt"),
                .embedInCode("New/Templates/CounterApp.swift.txt"),
                .embedInCode("New/Templates/CounterMain.swift.txt"),
                .embedInCode("New/Templates/CounterTests.swift.txt"),
                .embedInCode("New/Templates/CounterPage.html.txt"),
                .embedInCode("New/Templates/CounterPage.js.txt"),
                .embedInCode("New/Templates/CounterPage.css.txt"),
                .embedInCode("New/Templates/HubApp.swift.txt"),
                .embedInCode("New/Templates/HubMain.swift.txt"),
                .embedInCode("New/Templates/HubTests.swift.txt"),
            ]
        ),
        // Shared by tests and probes: processes, waiting, seeded random numbers.
        .target(
            name: "PlinthTestSupport",
            dependencies: ["PlinthHub", .product(name: "Logging", package: "swift-log")],
            path: "Tests/PlinthTestSupport"
        ),
        .testTarget(name: "PlinthEventsTests", dependencies: ["PlinthEvents", "PlinthTestSupport"]),
        .testTarget(name: "PlinthStreamsTests", dependencies: ["PlinthStreams", "PlinthTestSupport"]),
        .testTarget(
            name: "PlinthTests",
            dependencies: [
                "Plinth", "PlinthTesting", "PlinthTestSupport",
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ]
        ),
        .testTarget(
            name: "PlinthHubTests",
            dependencies: [
                "PlinthHub", "PlinthHubTesting", "PlinthEvents", "PlinthTestSupport",
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ]
        ),
        .testTarget(
            name: "PlinthSQLiteTests",
            dependencies: [
                "PlinthSQLite", "PlinthHub", "PlinthHubTesting", "PlinthEvents", "PlinthTestSupport",
                .product(name: "GRDB", package: "GRDB.swift", condition: sqlite),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(
            name: "PlinthJWTTests",
            dependencies: [
                "PlinthJWT", "PlinthHub", "PlinthStreams", "PlinthTestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "JWTKit", package: "jwt-kit", condition: jwt),
                .product(name: "Crypto", package: "swift-crypto", condition: jwt),
                .product(name: "CryptoExtras", package: "swift-crypto", condition: jwt),
            ]
        ),
        .testTarget(name: "PlinthReactorTests", dependencies: ["PlinthReactor", "PlinthTestSupport"]),
        .testTarget(
            name: "PlinthServerTests",
            dependencies: [
                "PlinthServer", "PlinthTesting", "PlinthTestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio", condition: server),
                .product(name: "NIOEmbedded", package: "swift-nio", condition: server),
                .product(name: "NIOPosix", package: "swift-nio", condition: server),
                .product(name: "NIOHTTP2", package: "swift-nio-http2", condition: server),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: server),
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: server),
            ]
        ),
        // The stream contract, tested against every way to serve a stream.
        .testTarget(
            name: "ContractTests",
            dependencies: [
                "PlinthServer", "PlinthTesting", "PlinthTestSupport",
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: server),
            ]
        ),
        .testTarget(
            name: "PlinthClientTests",
            dependencies: [
                "PlinthClient", "PlinthTesting", "PlinthTestSupport",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "AsyncHTTPClient", package: "async-http-client", condition: client),
                .product(name: "NIOCore", package: "swift-nio", condition: client),
                .product(name: "NIOHTTP1", package: "swift-nio", condition: client),
                .target(name: "event-source-probe"),
                .target(name: "event-parser-probe"),
                .target(name: "client-leak-probe"),
                .target(name: "contract-test-service"),
            ]
        ),
        .executableTarget(
            name: "ServerProbe",
            dependencies: ["PlinthServer"],
            path: "Tests/Probes/ServerProbe"
        ),
        .executableTarget(
            name: "fault-probe",
            dependencies: ["PlinthServer"],
            path: "Tests/Probes/FaultProbe"
        ),
        .executableTarget(
            name: "event-source-probe",
            dependencies: ["PlinthClient", "PlinthTestSupport"],
            path: "Tests/Probes/EventSourceProbe"
        ),
        .executableTarget(
            name: "event-parser-probe",
            dependencies: ["PlinthEvents", "PlinthTestSupport"],
            path: "Tests/Probes/EventParserProbe"
        ),
        .executableTarget(
            name: "client-leak-probe",
            dependencies: ["PlinthClient"],
            path: "Tests/Probes/ClientLeakProbe"
        ),
        .executableTarget(
            name: "contract-test-service",
            dependencies: [
                "PlinthClient",
                .target(name: "PlinthServer", condition: server),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "AsyncHTTPClient", package: "async-http-client", condition: client),
                .product(name: "NIOCore", package: "swift-nio", condition: client),
                .product(name: "NIOHTTP1", package: "swift-nio", condition: client),
            ],
            path: "Tests/Probes/ContractTestService"
        ),
        // Measures whether the hub keeps its documented bounds. Linux only, without the server.
        .executableTarget(
            name: "hub-bounds",
            dependencies: [
                "PlinthHub", "PlinthEvents",
                .target(name: "PlinthReactor", condition: .when(platforms: [.linux])),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/Hub/Bounds"
        ),
        .testTarget(
            name: "PlinthCLITests",
            dependencies: [
                "PlinthCLI", "PlinthSQLite", "PlinthHub", "PlinthEvents", "PlinthStreams", "PlinthTestSupport",
                .product(name: "GRDB", package: "GRDB.swift", condition: sqlite),
            ]
        ),
    ]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = settings
}

// The decode and encode commands borrow the bytes that they read.
for target in package.targets where target.name == "PlinthCLI" {
    target.swiftSettings = settings + [.enableExperimentalFeature("Lifetimes")]
}

// The reactor passes pointers to system calls. Each use is marked `unsafe` and justified in a comment.
for target in package.targets where target.name == "PlinthReactor" {
    target.swiftSettings = settings + [.strictMemorySafety()]
}

// The wire format uses pointers in a few places, each marked `unsafe`, and returns borrowed bytes.
for target in package.targets where target.name == "PlinthEvents" {
    target.swiftSettings = settings + [.strictMemorySafety(), .enableExperimentalFeature("Lifetimes")]
}
