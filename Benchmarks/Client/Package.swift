// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "client-benchmark",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "plinth", path: "../..", traits: ["Client"])
    ],
    targets: [
        .executableTarget(
            name: "ClientBenchmark",
            dependencies: [.product(name: "PlinthClient", package: "plinth")]
        )
    ]
)
