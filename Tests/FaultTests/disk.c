// SPDX-License-Identifier: Apache-2.0
//
// A disk below a program, for LD_PRELOAD: it records every change to the files of one directory, and can be slow, full,
// or broken, or stop the program at a chosen operation. `shim.py` builds and controls it; `wreck.py` reads its records.
//
//     FAULTY_DISK            the directory, whose subdirectories are left alone
//     FAULTY_DISK_CONTROL    a file with `struct control`, mapped by both sides
//     FAULTY_DISK_JOURNAL    the file to which records are appended
//
// Data always reaches the page cache, and nothing is ever synced to the real disk: what would be durable is decided by
// the journal. So a sync that fails is as on Linux, where the data stays readable, and a later sync may succeed without
// it.
// Memory maps are not seen; SQLite writes only its -shm file through one, which is not recorded at all.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// The fields are numbered in shim.py.
struct control {
    _Atomic uint64_t operations;      // out: how many were recorded
    _Atomic uint64_t stop_at;         // the process is killed before the operation with this number; 0: never
    _Atomic uint64_t sync_micros;     // how long a sync takes
    _Atomic uint64_t failing_syncs;   // so many syncs fail with EIO; UINT64_MAX: all
    _Atomic uint64_t failing_writes;  // so many writes and size changes fail; UINT64_MAX: all
    _Atomic uint64_t write_error;     // the errno
    _Atomic uint64_t torn_writes;     // 1: a failing write writes its first part; 2: it is only short
    _Atomic uint64_t failing_opens;   // so many opens for writing fail with write_error
    _Atomic uint64_t has_room;        // 1: files may grow only by `room` bytes altogether, then ENOSPC
    _Atomic uint64_t room;
    _Atomic uint64_t syncs;           // out: how many succeeded
    _Atomic uint64_t failed_syncs;    // out
    _Atomic uint64_t failed_writes;   // out
    _Atomic uint64_t failing_reads;   // so many reads fail with EIO
};

enum kind { CREATE = 1, WRITE, SIZE, UNLINK, RENAME, SYNC, SYNCED, SYNC_FAILED };

struct record {
    uint32_t kind;
    uint32_t length;  // of the data that follow: a name, two names with a zero between, or what was written
    uint64_t sequence;
    uint64_t file;    // the inode
    uint64_t place;   // the offset; the size; the number of the SYNC that ended
};

enum { DESCRIPTORS = 1 << 16 };
enum tracked { NONE = 0, FILE_OF_DISK, DIRECTORY };

static char directory[PATH_MAX];
static uint64_t directory_inode, device;
static struct control *control;
static int journal = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { _Atomic int tracked; _Atomic uint64_t inode; } table[DESCRIPTORS];

#define REAL(result, name, ...) \
    static result (*real_##name)(__VA_ARGS__); \
    if (!real_##name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static void fatal(const char *what) {
    fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
    _exit(99);
}

__attribute__((constructor)) static void set_up(void) {
    const char *name = getenv("FAULTY_DISK");
    const char *control_name = getenv("FAULTY_DISK_CONTROL"), *journal_name = getenv("FAULTY_DISK_JOURNAL");
    if (!name || !control_name || !journal_name) return;
    REAL(int, open, const char *, int, ...);
    REAL(int, close, int);
    char found[PATH_MAX];
    struct stat status;
    if (!realpath(name, found) || stat(found, &status)) fatal(name);
    int file = real_open(control_name, O_RDWR | O_CLOEXEC);
    if (file < 0) fatal(control_name);
    struct control *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) fatal(control_name);
    real_close(file);
    int opened = real_open(journal_name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (opened < 0) fatal(journal_name);
    // Far above the program's own, whose numbers stay what they were.
    journal = fcntl(opened, F_DUPFD_CLOEXEC, 900);
    if (journal < 0) journal = opened; else real_close(opened);
    device = status.st_dev;
    directory_inode = status.st_ino;
    control = mapped;
    strcpy(directory, found);
}

// Under the lock: counts an operation, and stops the program before it if that was asked for.
static uint64_t begin(void) {
    uint64_t number = atomic_fetch_add(&control->operations, 1) + 1, stop = atomic_load(&control->stop_at);
    if (stop && number >= stop) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    return number;
}

static void record(enum kind kind, uint64_t sequence, uint64_t file, uint64_t place, const void *data, size_t length) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    struct record head = {kind, (uint32_t)length, sequence, file, place};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
    if (real_writev(journal, parts, length ? 2 : 1) != (ssize_t)(sizeof head + length)) fatal("the journal");
}

// Takes one of a number of faults; UINT64_MAX is endless.
static int takes(_Atomic uint64_t *left) {
    uint64_t now = atomic_load(left);
    while (now && now != UINT64_MAX && !atomic_compare_exchange_weak(left, &now, now - 1)) {}
    return now != 0;
}

// What a descriptor stands for. Its file is looked at again, as it may have been closed behind our back.
static int tracked(int file, uint64_t *inode) {
    if (!control || file < 0 || file >= DESCRIPTORS) return NONE;
    int found = atomic_load(&table[file].tracked);
    if (found == NONE) return NONE;
    int saved = errno;
    struct stat status;
    *inode = atomic_load(&table[file].inode);
    if (fstat(file, &status) || (uint64_t)status.st_ino != *inode || (uint64_t)status.st_dev != device) found = NONE;
    errno = saved;
    return found;
}

// The part of a path behind the directory; nil if it is elsewhere, deeper, or the -shm file.
static const char *name_of(const char *path) {
    size_t length = strlen(directory);
    if (strncmp(path, directory, length) || path[length] != '/' || !path[length + 1]) return NULL;
    const char *name = path + length + 1;
    size_t size = strlen(name);
    if (strchr(name, '/') || (size > 4 && !strcmp(name + size - 4, "-shm"))) return NULL;
    return name;
}

// The same for a path as a program gives it, whose last component need not exist.
static const char *name_of_given(const char *path, char *buffer) {
    if (!control || !path) return NULL;
    char parent[PATH_MAX];
    if (strlen(path) >= PATH_MAX) return NULL;
    strcpy(parent, path);
    char *slash = strrchr(parent, '/');
    const char *last = slash ? path + (slash - parent) + 1 : path;
    if (slash == parent) slash[1] = 0; else if (slash) *slash = 0; else strcpy(parent, ".");
    int saved = errno;
    char *found = realpath(parent, buffer);
    errno = saved;
    if (!found || strlen(buffer) + strlen(last) + 2 > PATH_MAX) return NULL;
    strcat(buffer, "/");
    strcat(buffer, last);
    return name_of(buffer);
}

// Keeps track of a descriptor that was just opened. The lock is held if it may have created or emptied a file.
static void opened(int file, int flags, int existed, uint64_t sequence) {
    if (file < 0 || file >= DESCRIPTORS) return;
    atomic_store(&table[file].tracked, NONE);
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    struct stat status;
    if (length <= 0 || fstat(file, &status) || (uint64_t)status.st_dev != device) return;
    path[length] = 0;
    const char *name = name_of(path);
    int what = name && S_ISREG(status.st_mode) ? FILE_OF_DISK : status.st_ino == directory_inode ? DIRECTORY : NONE;
    atomic_store(&table[file].inode, status.st_ino);
    atomic_store(&table[file].tracked, what);
    if (what != FILE_OF_DISK || !sequence) return;
    if (!existed) {
        record(CREATE, sequence, status.st_ino, 0, name, strlen(name));
    } else if (flags & O_TRUNC) {
        record(SIZE, sequence, status.st_ino, 0, NULL, 0);
    }
}

typedef int (*opener)(int, const char *, int, ...);

static int open_at(opener real, int at, const char *path, int flags, mode_t mode) {
    int changes = control && (flags & (O_CREAT | O_TRUNC)), is_ours = 0, existed = 1, saved;
    uint64_t sequence = 0;
    char buffer[PATH_MAX];
    const char *name = control && (at == AT_FDCWD || path[0] == '/') ? name_of_given(path, buffer) : NULL;
    if (name && (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) && takes(&control->failing_opens)) {
        errno = (int)control->write_error;
        return -1;
    }
    if (changes && name) {
        pthread_mutex_lock(&lock);
        struct stat status;
        saved = errno;
        existed = stat(buffer, &status) == 0;
        errno = saved;
        is_ours = !existed || (flags & O_TRUNC);
        if (is_ours) sequence = begin();
    }
    int file = real(at, path, flags, mode);
    saved = errno;
    if (control) opened(file, flags, existed, sequence);
    if (changes && name) pthread_mutex_unlock(&lock);
    errno = saved;
    return file;
}

#define MODE(last) \
    mode_t mode = 0; \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list list; \
        va_start(list, last); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int openat(int at, const char *path, int flags, ...) {
    REAL(int, openat, int, const char *, int, ...);
    MODE(flags)
    return open_at(real_openat, at, path, flags, mode);
}
int openat64(int at, const char *path, int flags, ...) {
    REAL(int, openat64, int, const char *, int, ...);
    MODE(flags)
    return open_at(real_openat64, at, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    REAL(int, openat, int, const char *, int, ...);
    MODE(flags)
    return open_at(real_openat, AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(int, openat64, int, const char *, int, ...);
    MODE(flags)
    return open_at(real_openat64, AT_FDCWD, path, flags, mode);
}
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
// What open is with _FORTIFY_SOURCE and without a mode.
int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int at, const char *path, int flags) { return openat(at, path, flags); }
int __openat64_2(int at, const char *path, int flags) { return openat64(at, path, flags); }

int close(int file) {
    REAL(int, close, int);
    if (file >= 0 && file < DESCRIPTORS) atomic_store(&table[file].tracked, NONE);
    return real_close(file);
}

static uint64_t size_of(int file) {
    struct stat status;
    return fstat(file, &status) ? 0 : (uint64_t)status.st_size;
}

// Writes at an offset, or at the descriptor's own (-1).
static ssize_t change(int file, uint64_t inode, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    REAL(ssize_t, write, int, const void *, size_t);
    pthread_mutex_lock(&lock);
    uint64_t sequence = begin();
    size_t wanted = size;
    int error = 0;
    uint64_t old = size_of(file);
    uint64_t place = offset >= 0 ? (uint64_t)offset
        : fcntl(file, F_GETFL) & O_APPEND ? old : (uint64_t)lseek64(file, 0, SEEK_CUR);
    if (takes(&control->failing_writes)) {
        atomic_fetch_add(&control->failed_writes, 1);
        uint64_t torn = atomic_load(&control->torn_writes);
        error = torn == 2 ? 0 : (int)control->write_error;
        wanted = torn == 2 ? (size + 1) / 2 : torn ? size / 2 : 0;
    }
    if (control->has_room && place + wanted > old) {
        uint64_t growth = place + wanted - (place > old ? place : old), room = atomic_load(&control->room);
        if (growth > room) {
            wanted -= growth - room;
            growth = room;
            if (!wanted) {
                atomic_fetch_add(&control->failed_writes, 1);
                error = ENOSPC;
            }
        }
        atomic_fetch_sub(&control->room, growth);
    }
    ssize_t written = 0;
    if (wanted || !size) {
        written = offset < 0 ? real_write(file, data, wanted) : real_pwrite64(file, data, wanted, offset);
        if (written < 0) error = errno;
    }
    if (written > 0) record(WRITE, sequence, inode, place, data, (size_t)written);
    pthread_mutex_unlock(&lock);
    if (error) {
        errno = error;
        return -1;
    }
    return written;
}

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    uint64_t inode;
    return tracked(file, &inode) == FILE_OF_DISK ? change(file, inode, data, size, -1) : real_write(file, data, size);
}
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    uint64_t inode;
    return tracked(file, &inode) == FILE_OF_DISK
        ? change(file, inode, data, size, offset) : real_pwrite64(file, data, size, offset);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) { return pwrite64(file, data, size, offset); }

// Several parts are written one by one: each is an operation, and the power may go between them.
static ssize_t change_parts(int file, uint64_t inode, const struct iovec *parts, int count, off64_t offset) {
    ssize_t sum = 0;
    for (int index = 0; index < count; index++) {
        size_t size = parts[index].iov_len;
        ssize_t written = change(file, inode, parts[index].iov_base, size, offset < 0 ? -1 : offset + sum);
        if (written < 0) return sum ? sum : -1;
        sum += written;
        if ((size_t)written < size) break;
    }
    return sum;
}
ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    uint64_t inode;
    return tracked(file, &inode) == FILE_OF_DISK
        ? change_parts(file, inode, parts, count, -1) : real_writev(file, parts, count);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
    REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
    uint64_t inode;
    return tracked(file, &inode) == FILE_OF_DISK
        ? change_parts(file, inode, parts, count, offset) : real_pwritev64(file, parts, count, offset);
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(file, parts, count, offset);
}

ssize_t pread64(int file, void *data, size_t size, off64_t offset) {
    REAL(ssize_t, pread64, int, void *, size_t, off64_t);
    uint64_t inode;
    if (tracked(file, &inode) == FILE_OF_DISK && takes(&control->failing_reads)) {
        errno = EIO;
        return -1;
    }
    return real_pread64(file, data, size, offset);
}
ssize_t pread(int file, void *data, size_t size, off_t offset) { return pread64(file, data, size, offset); }

// A new size; with `grows_only`, not below the old one.
static int resize(int file, uint64_t inode, uint64_t size, int grows_only) {
    REAL(int, ftruncate64, int, off64_t);
    pthread_mutex_lock(&lock);
    uint64_t sequence = begin(), old = size_of(file);
    int result = 0, error = 0;
    // There are no short ones of these.
    if (control->torn_writes != 2 && takes(&control->failing_writes)) {
        atomic_fetch_add(&control->failed_writes, 1);
        error = (int)control->write_error;
    } else if (!grows_only || size > old) {
        if (grows_only && control->has_room && size - old > control->room) error = ENOSPC;
        else if ((result = real_ftruncate64(file, (off64_t)size))) error = errno;
        else record(SIZE, sequence, inode, size, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    if (!error) return 0;
    errno = error;
    return -1;
}

int ftruncate64(int file, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    uint64_t inode;
    return tracked(file, &inode) == FILE_OF_DISK && size >= 0
        ? resize(file, inode, (uint64_t)size, 0) : real_ftruncate64(file, size);
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

int fallocate64(int file, int mode, off64_t offset, off64_t size) {
    REAL(int, fallocate64, int, int, off64_t, off64_t);
    uint64_t inode;
    if (tracked(file, &inode) != FILE_OF_DISK) return real_fallocate64(file, mode, offset, size);
    if (mode) {
        // Holes and the like; nobody uses them here.
        errno = EOPNOTSUPP;
        return -1;
    }
    return resize(file, inode, (uint64_t)(offset + size), 1);
}
int fallocate(int file, int mode, off_t offset, off_t size) { return fallocate64(file, mode, offset, size); }
int posix_fallocate64(int file, off64_t offset, off64_t size) {
    REAL(int, posix_fallocate64, int, off64_t, off64_t);
    uint64_t inode;
    if (tracked(file, &inode) != FILE_OF_DISK) return real_posix_fallocate64(file, offset, size);
    int saved = errno, result = resize(file, inode, (uint64_t)(offset + size), 1) ? errno : 0;
    errno = saved;
    return result;
}
int posix_fallocate(int file, off_t offset, off_t size) { return posix_fallocate64(file, offset, size); }

static int synchronise(uint64_t inode) {
    pthread_mutex_lock(&lock);
    uint64_t sequence = begin();
    record(SYNC, sequence, inode, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    uint64_t micros = atomic_load(&control->sync_micros);
    if (micros) usleep((useconds_t)micros);
    pthread_mutex_lock(&lock);
    uint64_t end = begin();
    int fails = takes(&control->failing_syncs);
    atomic_fetch_add(fails ? &control->failed_syncs : &control->syncs, 1);
    record(fails ? SYNC_FAILED : SYNCED, end, inode, sequence, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (!fails) return 0;
    errno = EIO;
    return -1;
}

int fsync(int file) {
    REAL(int, fsync, int);
    uint64_t inode;
    return tracked(file, &inode) == NONE ? real_fsync(file) : synchronise(inode);
}
int fdatasync(int file) {
    REAL(int, fdatasync, int);
    uint64_t inode;
    return tracked(file, &inode) == NONE ? real_fdatasync(file) : synchronise(inode);
}

int unlinkat(int at, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char buffer[PATH_MAX];
    const char *name = (at == AT_FDCWD || path[0] == '/') && !flags ? name_of_given(path, buffer) : NULL;
    if (!name) return real_unlinkat(at, path, flags);
    pthread_mutex_lock(&lock);
    uint64_t sequence = begin();
    int result = real_unlinkat(at, path, flags), saved = errno;
    if (!result) record(UNLINK, sequence, 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int remove(const char *path) {
    struct stat status;
    return unlinkat(AT_FDCWD, path, !lstat(path, &status) && S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0);
}

// Only within the directory: the content of a file that comes from outside would not be known.
int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    char first[PATH_MAX], second[PATH_MAX], names[2 * PATH_MAX];
    const char *old = name_of_given(from, first), *new = name_of_given(to, second);
    if (!old && !new) return real_rename(from, to);
    if (!old || !new) {
        errno = EXDEV;
        return -1;
    }
    pthread_mutex_lock(&lock);
    uint64_t sequence = begin();
    int result = real_rename(from, to), saved = errno;
    if (!result) {
        size_t length = strlen(old) + 1;
        strcpy(names, old);
        strcpy(names + length, new);
        record(RENAME, sequence, 0, 0, names, length + strlen(new));
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int renameat(int from_at, const char *from, int to_at, const char *to) {
    REAL(int, renameat, int, const char *, int, const char *);
    return from_at == AT_FDCWD && to_at == AT_FDCWD ? rename(from, to) : real_renameat(from_at, from, to_at, to);
}
