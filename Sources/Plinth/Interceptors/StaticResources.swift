// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Serves the files of a directory to `GET` and `HEAD`, where nothing else answered.
    ///
    /// It acts on the way out, so that routes come first, and files cost them nothing. It goes before the router and
    /// behind ``notFound()``. Files come with `ETag`, `Last-Modified` and a content type; conditions and single ranges
    /// are honoured (RFC 9110, sections 13 and 14), several ranges are answered with the whole file.
    ///
    /// Segments of the path are decoded once. What is not served, and left to others: paths with an empty segment, `.`,
    /// `..`, a name with a dot in front, an encoded slash, a backslash or NUL; whatever lies outside of the directory once
    /// symbolic links are followed; anything that is not a regular file. A directory is answered with its index: with a
    /// redirection to the path with a slash at its end first (301), so that relative links work.
    ///
    /// The checks are system calls on the task's thread, a few microseconds on a local file system; the content is sent
    /// by the connector.
    ///
    /// ```swift
    /// try .staticResources("Public", at: "/assets", cacheControl: "public, max-age=3600")
    /// ```
    ///
    /// - Parameters:
    ///   - directory: The directory, absolute or relative to the working directory of now.
    ///   - prefix: The path that leads to it, with a slash in front; `/` unless given.
    ///   - cacheControl: The `Cache-Control` field of files. `no-cache` unless given: kept, but asked for at each use.
    ///     Nil for none.
    ///   - index: The file that stands for a directory; `index.html` unless given, nil for none.
    /// - Returns: The interceptor `static-resources`.
    /// - Throws: ``StaticResourcesError`` if the directory is none.
    public static func staticResources(
        _ directory: String,
        at prefix: String = "/",
        cacheControl: String? = "no-cache",
        index: String? = "index.html"
    ) throws(StaticResourcesError) -> Interceptor {
        guard let root = Files.realPath(directory), FileStatus(path: root)?.kind == .directory else {
            throw StaticResourcesError(directory: directory)
        }
        let resources = StaticResources(root: root, prefix: prefix, index: index)
        return Interceptor(
            "static-resources",
            leave: { context in
                guard context.response == nil, [.get, .head].contains(context.request.method) else { return }
                switch resources.find(context.request.path) {
                case .file(let path, let status):
                    context.response = .file(path, status, for: context.request, cacheControl: cacheControl)
                case .directory:
                    let query = context.request.query.map { "?" + $0 } ?? ""
                    context.response = .redirect(to: context.request.path + "/" + query, status: .movedPermanently)
                case nil:
                    break
                }
            }
        )
    }
}

/// A directory of static resources cannot be served.
public struct StaticResourcesError: Error, CustomStringConvertible {
    /// The path that is not that of a directory.
    public let directory: String

    /// What is wrong and what to do about it.
    public var description: String {
        "\"\(directory)\" is no directory that this process may read: check the path and the working directory"
    }
}

/// Leads from the paths of requests to files below a directory.
struct StaticResources: Sendable {
    enum Found {
        case file(String, FileStatus)
        /// A directory with an index, whose path lacks the slash at its end.
        case directory
    }

    /// Absolute, without symbolic links.
    let root: String
    let prefix: [UInt8]
    let index: String?

    init(root: String, prefix: String, index: String?) {
        self.root = root
        var bytes = Array(prefix.utf8)
        while bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        self.prefix = bytes
        self.index = index
    }

    func find(_ requestPath: Substring) -> Found? {
        let path = Array(requestPath.utf8)
        guard path.starts(with: prefix), path.count > prefix.count, path[prefix.count] == UInt8(ascii: "/")
        else { return nil }
        var names: [String] = []
        let segments = path[(prefix.count + 1)...].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isDirectory = segments.last?.isEmpty == true
        for segment in isDirectory ? segments.dropLast() : segments[...] {
            guard let name = PercentEncoding.decodeString(segment), Self.isName(name) else { return nil }
            names.append(name)
        }
        let file = ([root] + names).joined(separator: "/")
        if isDirectory {
            guard let index, let (path, status) = regular(file + "/" + index) else { return nil }
            return .file(path, status)
        }
        if let (path, status) = regular(file) { return .file(path, status) }
        guard let index, regular(file + "/" + index) != nil else { return nil }
        return .directory
    }

    /// The path without symbolic links, if it leads to a regular file below the root.
    private func regular(_ path: String) -> (String, FileStatus)? {
        guard let real = Files.realPath(path), real.utf8.starts(with: (root == "/" ? root : root + "/").utf8),
            let status = FileStatus(path: real), status.kind == .regular
        else { return nil }
        return (real, status)
    }

    /// Whether it is the name of one file, and not one that its owner hides.
    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, first != UInt8(ascii: ".") else { return false }
        return !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
    }
}
