/* SPDX-License-Identifier: Apache-2.0
 *
 * tlsfloor - the least that fanning events out over TLS costs with OpenSSL. One thread, epoll:
 *
 *   cc -O2 -Wall -Wextra -Werror -o tlsfloor tlsfloor.c -lssl -lcrypto
 *
 * As in ssefloor, a GET subscribes, a POST publishes its body, one line, and each event is encoded once, in one HTTP chunk.
 * It then costs one SSL_write per subscriber, which is one record and one write(2) if the chunk fits into a record. The
 * cipher suite is the client's first choice, as with nginx and, where AES is in hardware, with BoringSSL. No kernel TLS,
 * session tickets, topics, history, heartbeats or timeouts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage_text[] =
"usage: tlsfloor PORT SECONDS CERTIFICATE KEY\n"
"Serves TLS 1.3 on 127.0.0.1:PORT, with a certificate chain and a key in PEM files, and exits after SECONDS.\n"
"GET /topics/bench    subscribe\n"
"POST /topics/bench   publish the body, which must not contain line ends\n";

#define EVENTS   4096u                   /* kept for subscribers whose socket is full */
#define HELD_MAX (32u << 20)             /* their bytes */
#define HEAD_MAX (16u << 10)
#define BODY_MAX (1u << 20)

struct conn {
    int fd, ready, sub, pending;         /* ready: handshake done; pending: waits for EPOLLOUT */
    uint32_t at;                         /* index in subs */
    uint64_t next;                       /* the event to write next */
    SSL *ssl;
    char *in;                            /* requests not yet answered, and a terminating zero */
    size_t in_n, in_cap;
    struct conn *dead;
};

static int ep, lfd;
static SSL_CTX *tls;
static struct conn **subs, *graveyard;
static uint32_t n_subs, cap_subs;
static struct { char *s; size_t n; } events[EVENTS];
static uint64_t first, published;        /* events first..<published are kept */
static size_t held;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void die_tls(const char *what)
{
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

static void *grow(void *p, size_t n)
{
    if (!(p = realloc(p, n))) die("realloc");
    return p;
}

static void watch(struct conn *c, int op)
{
    struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | (c->pending ? EPOLLOUT : 0), .data.ptr = c };
    if (epoll_ctl(ep, op, c->fd, &ev)) die("epoll_ctl");
}

static void drop(struct conn *c)
{
    if (c->fd < 0) return;
    SSL_free(c->ssl);
    close(c->fd);
    c->fd = -1;
    if (c->sub) {
        subs[c->at] = subs[--n_subs];
        subs[c->at]->at = c->at;
    }
    c->dead = graveyard;                 /* freed after this epoll round, whose later events may refer to it */
    graveyard = c;
}

/* Whether OpenSSL only waits for the socket; otherwise the connection is dropped. */
static int waits(struct conn *c, int result)
{
    int why = SSL_get_error(c->ssl, result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 1;
    ERR_clear_error();
    drop(c);
    return 0;
}

static void pend(struct conn *c, int on)
{
    if (c->pending == on) return;
    c->pending = on;
    watch(c, EPOLL_CTL_MOD);
}

/* Writes what the subscriber has not yet got. */
static void write_to(struct conn *c)
{
    if (c->next < first) { drop(c); return; }                     /* lags too far */
    for (; c->next < published; c->next++) {
        int w = SSL_write(c->ssl, events[c->next % EVENTS].s, events[c->next % EVENTS].n);
        if (w > 0) continue;
        if (waits(c, w)) pend(c, 1);
        return;
    }
    pend(c, 0);
}

static void publish(const char *body, size_t n)
{
    char id[40], size[24];
    int id_n = snprintf(id, sizeof id, "\nid: 1-%llu\n\n", (unsigned long long)published + 1);
    int size_n = snprintf(size, sizeof size, "%zx\r\n", 6 + n + id_n);
    size_t all = size_n + 6 + n + id_n + 2;
    while (first < published && (published - first == EVENTS || held + all > HELD_MAX)) {
        free(events[first % EVENTS].s);
        held -= events[first++ % EVENTS].n;
    }
    char *s = grow(NULL, all), *p = s;
    p = mempcpy(p, size, size_n);
    p = mempcpy(p, "data: ", 6);
    p = mempcpy(p, body, n);
    p = mempcpy(p, id, id_n);
    memcpy(p, "\r\n", 2);
    events[published % EVENTS].s = s;
    events[published++ % EVENTS].n = all;
    held += all;
    for (uint32_t i = n_subs; i-- > 0; )                          /* backwards: drop() swaps */
        if (!subs[i]->pending) write_to(subs[i]);
        else if (subs[i]->next < first) drop(subs[i]);
}

/* Sends a response head. A client that does not even take that is dropped. */
static int answer(struct conn *c, const char *s)
{
    int w = SSL_write(c->ssl, s, strlen(s));
    if (w > 0) return 1;
    if (waits(c, w)) drop(c);
    return 0;
}

static void subscribe(struct conn *c)
{
    if (!answer(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n"))
        return;
    free(c->in);
    c->in = NULL;
    if (n_subs == cap_subs) subs = grow(subs, (cap_subs = cap_subs * 2 + 64) * sizeof *subs);
    c->sub = 1;
    c->next = published;
    c->at = n_subs;
    subs[n_subs++] = c;
}

/* Answers the complete requests in `in`. */
static void requests(struct conn *c)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    static const char missing[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    size_t used = 0;
    while (used < c->in_n) {
        char *head = c->in + used, *end = strstr(head, "\r\n\r\n");
        if (!end) {
            if (c->in_n - used > HEAD_MAX) { drop(c); return; }
            break;
        }
        *end = 0;
        char *length = strcasestr(head, "\r\ncontent-length:");
        size_t n = length ? strtoul(length + 17, NULL, 10) : 0, head_n = end + 4 - head;
        *end = '\r';
        if (n > BODY_MAX) { drop(c); return; }
        if (c->in_n - used < head_n + n) break;
        used += head_n + n;
        if (!strncmp(head, "GET /topics/bench ", 18)) { subscribe(c); return; }
        int post = !strncmp(head, "POST /topics/bench ", 19);
        if (!answer(c, post ? ok : missing)) return;
        if (post) publish(end + 4, n);
    }
    if (used) memmove(c->in, c->in + used, (c->in_n -= used) + 1);
}

static void readable(struct conn *c)
{
    if (!c->ready) {
        int r = SSL_accept(c->ssl);
        if (r <= 0) { waits(c, r); return; }
        c->ready = 1;
    }
    while (c->fd >= 0) {
        char skipped[256];
        int r;
        if (c->sub) r = SSL_read(c->ssl, skipped, sizeof skipped);
        else {
            if (c->in_cap - c->in_n < 2048) c->in = grow(c->in, (c->in_cap = c->in_cap * 2 + 4096) + 1);
            r = SSL_read(c->ssl, c->in + c->in_n, c->in_cap - c->in_n);
        }
        if (r <= 0) { waits(c, r); return; }
        if (c->sub) continue;
        c->in[c->in_n += r] = 0;
        requests(c);
    }
}

static void accept_all(void)
{
    for (int k = 0, one = 1; k < 64; k++) {
        int fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        if (!(c->ssl = SSL_new(tls)) || !SSL_set_fd(c->ssl, fd)) die_tls("SSL_new");
        SSL_set_accept_state(c->ssl);
        watch(c, EPOLL_CTL_ADD);
    }
}

static void ended(int signal)
{
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv)
{
    int port = argc == 5 ? atoi(argv[1]) : 0, seconds = argc == 5 ? atoi(argv[2]) : 0, one = 1;
    if (port < 1 || port > 65535 || seconds < 1) { fputs(usage_text, stderr); return 2; }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, ended);
    alarm(seconds);
    struct rlimit rl;
    if (!getrlimit(RLIMIT_NOFILE, &rl)) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }

    if (!(tls = SSL_CTX_new(TLS_server_method()))) die_tls("SSL_CTX_new");
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(tls, 0);
    if (SSL_CTX_use_certificate_chain_file(tls, argv[3]) != 1
        || SSL_CTX_use_PrivateKey_file(tls, argv[4], SSL_FILETYPE_PEM) != 1)
        die_tls("certificate or key");

    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (lfd < 0 || bind(lfd, (void *)&a, sizeof a) || listen(lfd, 4096)) die("listen");
    struct epoll_event ev[256], listening = { .events = EPOLLIN };      /* without a connection */
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &listening)) die("epoll");

    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c) { accept_all(); continue; }
            if (c->fd >= 0 && ev[i].events & EPOLLOUT) write_to(c);
            if (c->fd >= 0 && ev[i].events & EPOLLIN) readable(c);
            if (c->fd >= 0 && ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) drop(c);
        }
        for (struct conn *c = graveyard, *next; c; c = next) {
            next = c->dead;
            free(c->in);
            free(c);
        }
        graveyard = NULL;
    }
}
