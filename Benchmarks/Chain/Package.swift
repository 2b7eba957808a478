// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "chain-benchmark",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "plinth", path: "../..", traits: [])
    ],
    targets: [
        .executableTarget(
            name: "ChainBenchmark",
            dependencies: [
                .product(name: "Plinth", package: "plinth"),
                .product(name: "PlinthTesting", package: "plinth"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        )
    ]
)
