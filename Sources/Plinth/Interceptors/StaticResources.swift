// SPDX-License-Identifier: Apache-2.0

extension Interceptor {
    /// Serves the files of a directory to `GET` and `HEAD` requests that nothing else answered.
    ///
    /// It acts on the way out, so routes take precedence and incur no cost. Place it before the router and after
    /// ``notFound()``. Files are sent with `ETag`, `Last-Modified` and a content type. Conditions and single ranges are
    /// supported (RFC 9110, sections 13 and 14); a request for several ranges gets the whole file.
    ///
    /// Path segments are decoded once. Not served, and left to other interceptors: paths with an empty segment, a name
    /// with a leading dot (including `.` and `..`), an encoded slash, a backslash or NUL; files outside of the
    /// directory after resolving symbolic links; anything but regular files. A directory is answered with its index
    /// file; a path without a trailing slash is first redirected to one with it (301), so that relative links work.
    ///
    /// The checks are blocking system calls on the task's thread, a few microseconds on a local file system. The
    /// connector sends the content.
    ///
    /// ```swift
    /// try .staticResources("Public", at: "/assets", cacheControl: "public, max-age=3600")
    /// ```
    ///
    /// - Parameters:
    ///   - directory: The directory, absolute or relative to the current working directory.
    ///   - prefix: The path prefix of the files, with a leading slash. Default: `/`.
    ///   - cacheControl: The `Cache-Control` field of files; nil for none. Default: `no-cache`, cached but revalidated
    ///     on each use.
    ///   - index: The index file of a directory; nil for none. Default: `index.html`.
    /// - Returns: The interceptor `static-resources`.
    /// - Throws: ``StaticResourcesError`` if `directory` is not a readable directory.
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

/// The path for static resources is not a readable directory.
public struct StaticResourcesError: Error, CustomStringConvertible {
    /// The path.
    public let directory: String

    /// What is wrong and how to fix it.
    public var description: String {
        "\"\(directory)\" is not a directory that this process can read: check the path and the working directory"
    }
}

/// Maps request paths to files below a directory.
struct StaticResources: Sendable {
    enum Found {
        case file(String, FileStatus)
        /// A directory with an index file, requested without a trailing slash.
        case directory
    }

    /// The absolute path of the directory, without symbolic links.
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

    /// The resolved path and status, if the path leads to a regular file below the root.
    private func regular(_ path: String) -> (String, FileStatus)? {
        guard let real = Files.realPath(path), real.utf8.starts(with: (root == "/" ? root : root + "/").utf8),
            let status = FileStatus(path: real), status.kind == .regular
        else { return nil }
        return (real, status)
    }

    /// Whether a segment is a valid file name, and not hidden.
    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, first != UInt8(ascii: ".") else { return false }
        return !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
    }
}
