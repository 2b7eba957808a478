// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "sqlite-benchmark",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "plinth", path: "../..", traits: ["SQLite"]),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .executableTarget(
            name: "SQLiteBenchmark",
            dependencies: [
                .product(name: "PlinthEvents", package: "plinth"),
                .product(name: "PlinthHub", package: "plinth"),
                .product(name: "PlinthSQLite", package: "plinth"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        )
    ]
)
