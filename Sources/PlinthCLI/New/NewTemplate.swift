// SPDX-License-Identifier: Apache-2.0

/// The files of a project that `plinth new` creates from the embedded files in `Templates`.
struct NewTemplate {
    let name: String
    let isHub: Bool
    /// The manifest's package dependency on Plinth.
    let dependency: String

    /// Paths and contents.
    var files: [(path: String, text: String)] {
        var files = [
            ("Package.swift", PackageResources.Package_swift_txt),
            ("README.md", PackageResources.README_md_txt),
            (".gitignore", PackageResources.gitignore_txt),
        ]
        if isHub {
            files += [
                ("Sources/App/App.swift", PackageResources.HubApp_swift_txt),
                ("Sources/\(name)/main.swift", PackageResources.HubMain_swift_txt),
                ("Tests/AppTests/AppTests.swift", PackageResources.HubTests_swift_txt),
            ]
        } else {
            files += [
                ("Sources/App/App.swift", PackageResources.CounterApp_swift_txt),
                ("Sources/App/Public/index.html", PackageResources.CounterPage_html_txt),
                ("Sources/App/Public/app.js", PackageResources.CounterPage_js_txt),
                ("Sources/App/Public/app.css", PackageResources.CounterPage_css_txt),
                ("Sources/\(name)/main.swift", PackageResources.CounterMain_swift_txt),
                ("Tests/AppTests/AppTests.swift", PackageResources.CounterTests_swift_txt),
            ]
        }
        return files.map { ($0.0, filled(String(decoding: $0.1, as: UTF8.self))) }
    }

    private func filled(_ text: String) -> String {
        let products = (isHub ? ["Plinth", "PlinthHub", "PlinthServer"] : ["Plinth", "PlinthServer"])
            .map { ".product(name: \"\($0)\", package: \"plinth\")" }
        let values = [
            ("name", name), ("dependency", dependency), ("products", products.joined(separator: ",\n                ")),
            ("resources", isHub ? "" : ",\n            resources: [.copy(\"Public\")]"),
            (
                "summary",
                isHub
                    ? "A hub of topics: publish over HTTP, subscribe with an `EventSource`."
                    : "A counter sent as server-sent events, and a page that shows it."
            ),
        ]
        return values.reduce(text) { text, value in Self.replace("{{\(value.0)}}", in: text, with: value.1) }
    }

    private static func replace(_ mark: String, in text: String, with value: String) -> String {
        text.split(separator: mark, omittingEmptySubsequences: false).joined(separator: value)
    }
}
