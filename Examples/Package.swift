// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "plinth-examples",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "plinth", path: "..")],
    targets: [
        .executableTarget(
            name: "Counter",
            dependencies: [
                .product(name: "Plinth", package: "plinth"),
                .product(name: "PlinthServer", package: "plinth"),
            ]
        )
    ]
)
