// swift-tools-version: 6.2
import PackageDescription

let plinth: [Target.Dependency] = [
    "ExampleSupport",
    .product(name: "Plinth", package: "plinth"),
    .product(name: "PlinthServer", package: "plinth"),
]
let testing: Target.Dependency = .product(name: "PlinthTesting", package: "plinth")

let package = Package(
    name: "plinth-examples",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "plinth", path: ".."),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        // Shared by all examples: host and port from arguments or environment.
        .target(name: "ExampleSupport", dependencies: Array(plinth.dropFirst())),

        // The guide: a counter and its page.
        .executableTarget(name: "Counter", dependencies: plinth + ["CounterService"]),
        .target(name: "CounterService", dependencies: plinth, resources: [.copy("Public")]),
        // A hub embedded in a service, beside the counter.
        .executableTarget(
            name: "Hub",
            dependencies: plinth + ["CounterService", .product(name: "PlinthHub", package: "plinth")]
        ),
        // The code in the README.
        .executableTarget(name: "Hello", dependencies: Array(plinth.dropFirst())),
        // The code of the articles.
        .target(
            name: "Snippets",
            dependencies: plinth.dropFirst() + [
                .product(name: "PlinthEvents", package: "plinth"),
                .product(name: "PlinthHub", package: "plinth"),
                .product(name: "PlinthHubTesting", package: "plinth"),
                .product(name: "PlinthClient", package: "plinth"),
                .product(name: "PlinthSQLite", package: "plinth"),
                .product(name: "PlinthJWT", package: "plinth"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]
        ),
        // Streams per user and tab, sent to from other requests.
        .executableTarget(name: "Notify", dependencies: plinth, resources: [.copy("Public")]),
        // Rows and their events, committed together in the application's own database.
        .executableTarget(name: "Orders", dependencies: ["ExampleSupport", "OrderService"]),
        .target(
            name: "OrderService",
            dependencies: plinth.dropFirst() + [
                .product(name: "PlinthEvents", package: "plinth"),
                .product(name: "PlinthHub", package: "plinth"),
                .product(name: "PlinthSQLite", package: "plinth"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            resources: [.copy("Public")]
        ),
        // A model's tokens in response to a POST.
        .executableTarget(name: "Tokens", dependencies: plinth),

        .testTarget(
            name: "CounterTests",
            dependencies: ["CounterService", .product(name: "Plinth", package: "plinth"), testing]
        ),
        .testTarget(
            name: "OrderTests",
            dependencies: [
                "OrderService",
                .product(name: "Plinth", package: "plinth"),
                .product(name: "PlinthHub", package: "plinth"),
                .product(name: "GRDB", package: "GRDB.swift"),
                testing,
            ]
        ),
        .testTarget(
            name: "SnippetTests",
            dependencies: [
                "Snippets",
                .product(name: "Plinth", package: "plinth"),
                .product(name: "PlinthHub", package: "plinth"),
                .product(name: "PlinthHubTesting", package: "plinth"),
            ]
        ),
    ]
)

for target in package.targets {
    target.swiftSettings = [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
}
