/* SPDX-License-Identifier: Apache-2.0
 *
 * hubload - load generator for what sseload does not support: TLS, HTTP/2, streams of many topics, publishing by
 * stream, heartbeat intervals, and stalled readers that receive gap events. One thread, epoll; OpenSSL and nghttp2:
 *
 *   cc -O2 -Wall -o hubload hubload.c -lnghttp2 -lssl -lcrypto
 *
 * Like sseload it publishes, checks every delivery, measures the server's CPU from the first measured publish to the
 * last delivery, and prints one JSON object with the same keys, so that their results are comparable. Loopback only;
 * every run has a time limit.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage_text[] =
"usage: hubload [options] MODE PORT\n"
"modes (one of)\n"
"  --closed K [--window W]  publish K events, with at most W (1) of them not yet delivered to all subscribers\n"
"  --upload K [--batch B]   publish K events as one text/event-stream in chunks of B events (64), at full speed\n"
"  --idle S                 hold the streams for S seconds and measure the intervals between comments\n"
"streams\n"
"  -n N                     streams (100)\n"
"  --path PATH              path to subscribe to (/topics/bench)\n"
"  --topics T               publish to T topics in turn (bench/0 ...); --path must select them all, by pattern or by\n"
"                           name: @TOPICS@ in it becomes ?topic=bench/0&topic=...; IDs end with a tab and the topic\n"
"  --tls                    TLS, without verifying the certificate\n"
"  --h2 M                   HTTP/2, M streams per connection; with --tls by ALPN, else by prior knowledge\n"
"  --stalled F              the fraction F reads nothing until the end; not counted as deliveries\n"
"  --alone                  the streams receive no published event, to measure publishing alone\n"
"publisher\n"
"  -s SIZE                  bytes of an event's data, at least 40 (100)\n"
"  --publish PATH           path to publish to (/topics/bench); with --topics, before its number (/topics/bench/)\n"
"  --pubs P                 HTTP/1.1 keep-alive connections, with TLS if --tls (1)\n"
"run\n"
"  --warmup K               events to publish closed-loop before measuring (0)\n"
"  --pid PID                server process whose CPU and memory to measure\n"
"  --settle MS              pause between connecting and publishing (300)\n"
"  --stall S                give up when nothing arrives for S seconds (10)\n"
"  --max-time S             hard limit of the whole run (300)\n"
"Exit status: 0 if nothing failed, was damaged, out of order, or lost without a gap event; 1 otherwise; 2 usage.\n";

#define NS 1000000000ull
#define HEAD 40 /* payload: "seq(10) time-ns(19) run(8) ", then filler, as in sseload */

static struct {
    int n, size, topics, tls, h2, pubs, window, batch, port, pid, alone;
    uint32_t closed, upload, warmup;
    double idle, settle, stall, max_time, stalled;
    const char *path, *publish;
} o = { .n = 100, .size = 100, .pubs = 1, .window = 1, .batch = 64, .settle = 0.3, .stall = 10, .max_time = 300,
        .path = "/topics/bench" };

static void die(const char *f, ...)
{
    va_list a;
    va_start(a, f);
    fprintf(stderr, "hubload: ");
    vfprintf(stderr, f, a);
    fprintf(stderr, "\n");
    exit(2);
}

static void *grow(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) die("out of memory");
    return p;
}

static void *zeroed(size_t n, size_t s)
{
    void *p = calloc(n ? n : 1, s);
    if (!p) die("out of memory");
    return p;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

/* ---- times: 64 buckets per power of two ---- */

struct hist { uint64_t n, min, max, b[59 * 64]; };
static struct hist h_lat, h_ttfb, h_ack, h_gap;

static void hist_add(struct hist *h, uint64_t v)
{
    int i = v;
    if (v >= 64) {
        int e = 63 - __builtin_clzll(v);
        i = (e - 5) * 64 + ((v >> (e - 6)) & 63);
    }
    h->b[i]++;
    if (!h->n++ || v < h->min) h->min = v;
    if (v > h->max) h->max = v;
}

static double hist_us(const struct hist *h, double q)
{
    uint64_t want = h->n * q, seen = 0;
    if (!h->n) return 0;
    if (want >= h->n) want = h->n - 1;
    for (int i = 0; i < 59 * 64; i++)
        if ((seen += h->b[i]) > want) {
            double v = i < 64 ? i : (64 + (i & 63) + 0.5) * (double)(1ull << (i / 64 - 1));
            return (v > h->max ? h->max : v) / 1000.0;
        }
    return h->max / 1000.0;
}

struct buf { char *s; size_t n, cap; };

static void buf_add(struct buf *b, const void *s, size_t n)
{
    if (b->n + n > b->cap) b->s = grow(b->s, b->cap = (b->n + n) * 2 + 64);
    memcpy(b->s + b->n, s, n);
    b->n += n;
}

/* ---- streams and connections ---- */

struct stream {
    uint32_t i;
    int32_t h2id;
    uint8_t stalled, open, ended, ok, foreign, is_gap, misnamed;
    uint32_t lines, seq, gaps;
    uint64_t ts, t_comment;
    struct buf part;                          /* incomplete line */
    uint32_t *next, *told;                    /* per publisher: next event; gap count when its last event arrived */
    int topic;                                /* from the ID field; -1 for none */
};

enum { C_SHAKING, C_REQUESTED, C_OPEN, C_CLOSED };
enum { B_HEAD, B_LENGTH, B_SIZE, B_DATA, B_END, B_TRAILER, B_REST, B_DONE };

struct conn {
    int fd, kind, state, want_write, reads;   /* kind: 0 streams, 1 publisher */
    SSL *ssl;
    nghttp2_session *h2;
    struct buf out;
    size_t off;
    struct stream *first;
    int streams, opened;
    uint64_t t_connect;
    /* HTTP/1.1 response */
    int body, status, chunked, sse;
    uint64_t left;
    struct buf line, answer;
    /* publisher */
    int busy;
    uint32_t seq;
    uint64_t sent;
};

static struct conn *conns, *pubs;
static struct stream *streams;
static int n_conns, ep, shaking, n_open;
static uint32_t run_id, total, measure_from, next_g, lo, counted;
static uint32_t *remaining;
static uint64_t t_read, t_progress, t_last, t_first_conn, t_last_conn;
static char *filler, *sub_path;
static SSL_CTX *tls_h1, *tls_h2;
static char rbuf[256 << 10], negotiated[80];  /* the first connection's TLS version and cipher suite */

static struct {
    uint64_t got, lost, late, corrupt, misrouted, foreign, told, gaps, comments, closed_early, failed, bad_status, pub_errors;
    uint64_t stalled_got, stalled_lost, stalled_told, stalled_closed, stalled_gaps;
    int status, pub_status;
} st;

static void event_done(uint32_t g)
{
    if (remaining[g]) remaining[g]--;
    while (lo < next_g && !remaining[lo]) lo++;
}

/* Events from..<to of publisher p are missing: "told" if a gap event arrived since its last event, else lost. */
static void skipped(struct stream *s, int p, uint32_t from, uint32_t to)
{
    int told = s->gaps > s->told[p];
    if (s->stalled) *(told ? &st.stalled_told : &st.stalled_lost) += to - from;
    else {
        *(told ? &st.told : &st.lost) += to - from;
        for (uint32_t k = from; k < to; k++) event_done(k * o.pubs + p);
    }
}

static void deliver(struct stream *s)
{
    uint32_t g = s->seq, p = g % o.pubs, k = g / o.pubs;
    if (g >= next_g) { st.corrupt++; return; }
    if (o.alone) { st.misrouted++; return; }
    if (o.topics && (s->topic != (int)(k % o.topics) || s->misnamed)) st.misrouted++;
    if (k < s->next[p]) { st.late++; return; }
    if (k > s->next[p]) skipped(s, p, s->next[p], k);
    s->next[p] = k + 1;
    s->told[p] = s->gaps;
    if (s->stalled) { st.stalled_got++; return; }
    t_progress = t_read;
    if (g >= measure_from) {
        st.got++;
        hist_add(&h_lat, t_read > s->ts ? t_read - s->ts : 0);
        t_last = t_read;
    }
    event_done(g);
}

static int digits(const char *s, int n, uint64_t *v)
{
    uint64_t r = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return 0;
        r = r * 10 + (s[i] - '0');
    }
    *v = r;
    return 1;
}

static void sse_line(struct stream *s, const char *p, size_t n)
{
    if (n && p[n - 1] == '\r') n--;
    if (!n) {
        if (s->is_gap) { s->gaps++; *(s->stalled ? &st.stalled_gaps : &st.gaps) += 1; }
        else if (s->lines) {
            if (s->foreign) st.foreign++;
            else if (!s->ok || s->lines > 1) st.corrupt++;
            else deliver(s);
        }
        s->lines = s->ok = s->foreign = s->is_gap = s->misnamed = 0;
        s->topic = -1;
        return;
    }
    if (*p == ':') {
        st.comments++;
        if (o.idle > 0) {
            if (s->t_comment) hist_add(&h_gap, t_read - s->t_comment);
            s->t_comment = t_read;
        }
    } else if (n > 6 && !memcmp(p, "data: ", 6)) {
        uint64_t seq, ts;
        char run[9] = { 0 };
        p += 6, n -= 6;
        if (s->lines++ || n < HEAD || !digits(p, 10, &seq) || !digits(p + 11, 19, &ts)) return;
        memcpy(run, p + 31, 8);
        if (strtoul(run, NULL, 16) != run_id) { s->foreign = 1; return; }
        s->seq = seq;
        s->ts = ts;
        s->ok = n == (size_t)o.size && !memcmp(p + HEAD, filler, n - HEAD);
    } else if (n == 10 && !memcmp(p, "event: gap", 10)) s->is_gap = 1;
    else if (o.topics && n > 3 && !memcmp(p, "id:", 3)) {
        const char *tab = memchr(p, '\t', n);
        size_t left = tab ? p + n - tab - 1 : 0;
        if (left > 6 && left < 20 && !memcmp(tab + 1, "bench/", 6)) {
            char number[20] = { 0 };
            memcpy(number, tab + 7, left - 6);
            s->topic = atoi(number);
        } else s->misnamed = 1;
    }
}

static void sse_feed(struct stream *s, const char *p, size_t n)
{
    const char *e = p + n, *q;
    for (; p < e; p = q + 1) {
        q = memchr(p, '\n', e - p);
        if (!q) { buf_add(&s->part, p, e - p); return; }
        if (s->part.n) {
            buf_add(&s->part, p, q - p);
            sse_line(s, s->part.s, s->part.n);
            s->part.n = 0;
        } else sse_line(s, p, q - p);
    }
}

static void ep_set(struct conn *c, int op)
{
    struct epoll_event ev = { .data.ptr = c };
    ev.events = (c->reads ? EPOLLIN : 0) | (c->want_write ? EPOLLOUT : 0);
    if (epoll_ctl(ep, op, c->fd, &ev)) die("epoll_ctl: %s", strerror(errno));
}

static void stream_opened(struct conn *c, struct stream *s, int status, int sse)
{
    if (status != 200 || !sse) {
        st.bad_status++;
        st.status = status;
        return;
    }
    s->open = 1;
    n_open++;
    t_last_conn = t_read;
    hist_add(&h_ttfb, t_read - c->t_connect);
    if (++c->opened < c->streams) return;
    c->state = C_OPEN;
    shaking--;
    if (s->stalled && o.h2 <= 1) {            /* a stalled connection reads nothing after the response head */
        c->reads = 0;
        ep_set(c, EPOLL_CTL_MOD);
    }
}

static void stream_ended(struct stream *s)
{
    if (s->ended) return;
    s->ended = 1;
    if (!s->open) return;
    n_open--;
    *(s->stalled ? &st.stalled_closed : &st.closed_early) += 1;
    if (s->stalled) return;
    for (int p = 0; p < o.pubs && total && !o.alone; p++) {        /* so that publishing does not wait for it */
        uint32_t end = (next_g + o.pubs - 1 - p) / o.pubs;
        if (s->next[p] < end) skipped(s, p, s->next[p], end);
        s->next[p] = end;
    }
    if (counted) counted--;
}

static void conn_close(struct conn *c)
{
    if (c->state == C_CLOSED) return;
    if (c->kind) { st.pub_errors++; if (c->busy) event_done(c->seq); }
    else {
        if (c->state != C_OPEN) { shaking--; st.failed++; }
        for (int i = 0; i < c->streams; i++) stream_ended(&c->first[i]);
    }
    if (c->ssl) SSL_free(c->ssl);
    if (c->h2) nghttp2_session_del(c->h2);
    c->ssl = NULL;
    c->h2 = NULL;
    close(c->fd);
    c->state = C_CLOSED;
}

static void conn_flush(struct conn *c)
{
    int blocked = 0;
    while (c->off < c->out.n && !blocked) {
        ssize_t w;
        if (c->ssl) {
            int k = SSL_write(c->ssl, c->out.s + c->off, c->out.n - c->off);
            if (k <= 0) {
                int why = SSL_get_error(c->ssl, k);
                if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) { conn_close(c); return; }
                blocked = 1;
            }
            w = k;
        } else {
            w = write(c->fd, c->out.s + c->off, c->out.n - c->off);
            if (w < 0 && errno != EAGAIN) { conn_close(c); return; }
            blocked = w < 0;
        }
        if (w > 0) c->off += w;
    }
    if (c->off == c->out.n) c->off = c->out.n = 0;
    if (c->want_write != blocked) {
        c->want_write = blocked;
        ep_set(c, EPOLL_CTL_MOD);
    }
}

/* ---- HTTP/2 ---- */

static int h2_header(nghttp2_session *h, const nghttp2_frame *f, const uint8_t *name, size_t nn, const uint8_t *value,
                     size_t vn, uint8_t flags, void *user)
{
    struct stream *s = nghttp2_session_get_stream_user_data(h, f->hd.stream_id);
    (void)flags, (void)user;
    if (!s || s->open) return 0;
    if (nn == 7 && !memcmp(name, ":status", 7)) s->seq = atoi((const char *)value);     /* reused for the status until the first event */
    if (nn == 12 && !memcmp(name, "content-type", 12)) s->ok = vn >= 17 && !memcmp(value, "text/event-stream", 17);
    return 0;
}

static int h2_frame(nghttp2_session *h, const nghttp2_frame *f, void *user)
{
    if (f->hd.type != NGHTTP2_HEADERS) return 0;
    struct stream *s = nghttp2_session_get_stream_user_data(h, f->hd.stream_id);
    if (s && !s->open) {
        int status = s->seq, sse = s->ok;
        s->seq = s->ok = 0;
        stream_opened(user, s, status, sse);
    }
    return 0;
}

static int h2_data(nghttp2_session *h, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user)
{
    struct stream *s = nghttp2_session_get_stream_user_data(h, id);
    (void)flags, (void)user;
    if (s) sse_feed(s, (const char *)data, n);
    return 0;
}

static int h2_close(nghttp2_session *h, int32_t id, uint32_t code, void *user)
{
    struct stream *s = nghttp2_session_get_stream_user_data(h, id);
    (void)code, (void)user;
    if (s) stream_ended(s);
    return 0;
}

static void h2_send(struct conn *c)
{
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->h2, &data)) > 0) buf_add(&c->out, data, n);
    if (n < 0) { conn_close(c); return; }
    conn_flush(c);
}

static void h2_start(struct conn *c)
{
    static nghttp2_session_callbacks *cb;
    if (!cb) {
        nghttp2_session_callbacks_new(&cb);
        nghttp2_session_callbacks_set_on_header_callback(cb, h2_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_close);
    }
    if (nghttp2_session_client_new(&c->h2, cb, c)) die("nghttp2");
    nghttp2_settings_entry set[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 }, { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 } };
    nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, set, 2);
    nghttp2_session_set_local_window_size(c->h2, NGHTTP2_FLAG_NONE, 0, 16 << 20);     /* about as large as in browsers */
    char authority[32];
    snprintf(authority, sizeof authority, "127.0.0.1:%d", o.port);
#define H(k, v) { (uint8_t *)k, (uint8_t *)v, sizeof k - 1, strlen(v), NGHTTP2_NV_FLAG_NONE }
    nghttp2_nv head[] = { H(":method", "GET"), H(":scheme", (o.tls ? "https" : "http")), H(":authority", authority),
                          H(":path", sub_path), H("accept", "text/event-stream") };
#undef H
    for (int i = 0; i < c->streams; i++)
        if ((c->first[i].h2id = nghttp2_submit_request(c->h2, NULL, head, 5, NULL, &c->first[i])) < 0) die("nghttp2 request");
    h2_send(c);
}

/* ---- HTTP/1.1 ---- */

static void requested(struct conn *c)
{
    c->state = C_REQUESTED;
    if (o.h2 && !c->kind) { h2_start(c); return; }
    char head[256];
    buf_add(&c->out, "GET ", 4);
    buf_add(&c->out, sub_path, strlen(sub_path));
    int n = snprintf(head, sizeof head, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n", o.port);
    buf_add(&c->out, head, n);
    conn_flush(c);
}

static void answered(struct conn *c)
{
    if (c->busy) hist_add(&h_ack, t_read - c->sent);
    if (o.alone) t_progress = t_last = t_read;
    if (c->status < 200 || c->status > 299) {
        st.pub_errors++;
        st.pub_status = c->status;
        if (o.closed) { remaining[c->seq] = 0; event_done(c->seq); }
    }
    c->busy = 0;
    if (!o.upload) c->answer.n = 0;
}

static void head_line(struct conn *c, char *s, size_t n)
{
    if (n && s[n - 1] == '\r') n--;
    s[n] = 0;
    if (!c->status) { c->status = n > 11 ? atoi(s + 9) : 999; return; }
    if (n) {
        if (!strncasecmp(s, "transfer-encoding: chunked", 26)) c->chunked = 1;
        if (!strncasecmp(s, "content-length:", 15)) c->left = strtoull(s + 15, NULL, 10);
        if (!strncasecmp(s, "content-type: text/event-stream", 31)) c->sse = 1;
        return;
    }
    c->body = c->status == 204 ? B_DONE : c->chunked ? B_SIZE : c->left ? B_LENGTH : c->kind ? B_DONE : B_REST;
    if (!c->kind) stream_opened(c, c->first, c->status, c->sse);
}

static void h1_feed(struct conn *c, const char *p, size_t n)
{
    const char *e = p + n;
    while (p < e) {
        switch (c->body) {
        case B_HEAD: case B_SIZE: case B_END: case B_TRAILER: {
            const char *q = memchr(p, '\n', e - p);
            buf_add(&c->line, p, (q ? q : e) - p);
            if (!q) return;
            p = q + 1;
            size_t len = c->line.n;
            buf_add(&c->line, "", 1);
            c->line.n = 0;
            if (c->body == B_HEAD) head_line(c, c->line.s, len);
            else if (c->body == B_SIZE) c->body = (c->left = strtoull(c->line.s, NULL, 16)) ? B_DATA : B_TRAILER;
            else if (c->body == B_END) c->body = B_SIZE;
            else if (len <= 1) c->body = B_DONE;
            break;
        }
        case B_LENGTH: case B_DATA: case B_REST: {
            size_t m = c->body == B_REST || (uint64_t)(e - p) < c->left ? (size_t)(e - p) : c->left;
            if (c->kind) buf_add(&c->answer, p, m);
            else sse_feed(c->first, p, m);
            p += m;
            if (c->body != B_REST && !(c->left -= m)) c->body = c->body == B_DATA ? B_END : B_DONE;
            break;
        }
        default: p = e;
        }
        if (c->body == B_DONE) {
            if (!c->kind) { conn_close(c); return; }
            answered(c);
            c->body = c->status = c->chunked = c->left = 0;
        }
    }
}

static void conn_event(struct conn *c, uint32_t events)
{
    if (c->state == C_SHAKING && c->ssl) {
        int r = SSL_do_handshake(c->ssl);
        if (r != 1) {
            int why = SSL_get_error(c->ssl, r);
            if (why == SSL_ERROR_WANT_READ) return;
            if (why != SSL_ERROR_WANT_WRITE) conn_close(c);
            return;
        }
        t_read = now_ns();
        if (!*negotiated)
            snprintf(negotiated, sizeof negotiated, "%s %s", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl));
        if (o.h2 && !c->kind) {
            const unsigned char *p;
            unsigned n = 0;
            SSL_get0_alpn_selected(c->ssl, &p, &n);
            if (n != 2) die("the server does not choose HTTP/2");
        }
        if (c->kind) { c->state = C_OPEN; return; }
        requested(c);
        return;
    }
    if (events & EPOLLOUT) conn_flush(c);
    if (c->state == C_CLOSED || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    for (;;) {
        ssize_t n;
        if (c->ssl) {
            n = SSL_read(c->ssl, rbuf, sizeof rbuf);
            if (n <= 0) {
                int why = SSL_get_error(c->ssl, n);
                ERR_clear_error();
                if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) break;
                conn_close(c);
                return;
            }
        } else {
            n = read(c->fd, rbuf, sizeof rbuf);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
            if (n <= 0) { conn_close(c); return; }
        }
        t_read = now_ns();
        if (c->h2) {
            if (nghttp2_session_mem_recv(c->h2, (uint8_t *)rbuf, n) < 0) { conn_close(c); return; }
        } else h1_feed(c, rbuf, n);
        if (c->state == C_CLOSED) return;
        if (!c->ssl) break;                   /* level-triggered; only OpenSSL buffers bytes */
    }
    if (c->h2 && nghttp2_session_want_write(c->h2)) h2_send(c);
}

static void conn_open(struct conn *c, int kind)
{
    int one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(o.port) };
    a.sin_addr.s_addr = htonl(0x7f000001);
    c->kind = kind;
    c->reads = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->t_connect = now_ns();
    if (!t_first_conn) t_first_conn = c->t_connect;
    if (c->fd < 0 || connect(c->fd, (void *)&a, sizeof a)) die("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (!kind) shaking++;
    ep_set(c, EPOLL_CTL_ADD);
    if (!o.tls) {
        if (kind) c->state = C_OPEN; else requested(c);
        return;
    }
    c->ssl = SSL_new(o.h2 && !kind ? tls_h2 : tls_h1);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) die("TLS");
    SSL_set_connect_state(c->ssl);
    conn_event(c, 0);
}

static void step(uint64_t until)
{
    struct epoll_event ev[64];
    uint64_t now = now_ns(), d = until > now ? until - now : 0;
    struct timespec ts = { d / NS, d % NS };
    int n = epoll_pwait2(ep, ev, 64, &ts, NULL);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        if (c->state != C_CLOSED) conn_event(c, ev[i].events);
    }
}

static void wait_for(double secs)
{
    for (uint64_t end = now_ns() + secs * NS; now_ns() < end; ) step(end);
}

/* ---- the server process ---- */

struct usage { double cpu, host; uint64_t rss; };

static struct usage usage_now(void)
{
    struct usage u = { 0 };
    unsigned long us = 0, ni = 0, sy = 0, irq = 0, soft = 0;
    FILE *f = fopen("/proc/stat", "r");       /* whole machine, to detect other load */
    if (f && fscanf(f, "cpu %lu %lu %lu %*u %*u %lu %lu", &us, &ni, &sy, &irq, &soft) == 5)
        u.host = (double)(us + ni + sy + irq + soft) / sysconf(_SC_CLK_TCK);
    if (f) fclose(f);
    if (!o.pid) return u;
    clockid_t id;
    struct timespec t;
    if (!clock_getcpuclockid(o.pid, &id) && !clock_gettime(id, &t)) u.cpu = t.tv_sec + t.tv_nsec / 1e9;
    char name[64], line[256];
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", o.pid);
    if ((f = fopen(name, "r"))) {
        while (fgets(line, sizeof line, f))
            if (!strncmp(line, "Rss:", 4)) { u.rss = strtoull(line + 4, NULL, 10) * 1024; break; }
        fclose(f);
    }
    return u;
}

static double self_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- publishing ---- */

static void put_digits(char *s, int n, uint64_t v) { while (n--) { s[n] = '0' + v % 10; v /= 10; } }

static const char *payload(uint32_t g, uint64_t ts)
{
    static char *p;
    if (!p) { p = zeroed(1, o.size + 1); memcpy(p + HEAD, filler, o.size - HEAD); }
    char run[11];
    put_digits(p, 10, g);
    p[10] = ' ';
    put_digits(p + 11, 19, ts);
    snprintf(run, sizeof run, " %08x ", run_id);
    memcpy(p + 30, run, 10);
    return p;
}

static void publish(struct conn *c, uint64_t ts)
{
    uint32_t g = next_g++;
    char head[512], topic[32] = "";
    const char *path = o.publish ? o.publish : o.topics ? "/topics/bench/" : "/topics/bench";
    if (o.topics) snprintf(topic, sizeof topic, "%u", g / o.pubs % o.topics);
    int n = snprintf(head, sizeof head, "POST %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/plain\r\n"
                     "Content-Length: %d\r\n\r\n", path, topic, o.port, o.size);
    buf_add(&c->out, head, n);
    buf_add(&c->out, payload(g, ts), o.size);
    c->busy = 1;
    c->seq = g;
    c->sent = ts;
    remaining[g] = counted;
    while (lo < next_g && !remaining[lo]) lo++;
    conn_flush(c);
}

static void publish_until(uint32_t limit, int window)
{
    t_progress = now_ns();
    while (lo < limit) {
        uint64_t now = now_ns();
        while (next_g < limit && next_g - lo < (uint32_t)window) {
            struct conn *c = &pubs[next_g % o.pubs];
            if (c->state == C_CLOSED) return;
            if (c->busy) break;
            publish(c, now = now_ns());
        }
        step(now + NS / 50);
        if (now > t_progress + o.stall * NS) break;
    }
    for (uint64_t end = now_ns() + NS; now_ns() < end; step(end)) {
        int busy = 0;
        for (int p = 0; p < o.pubs; p++) busy += pubs[p].state != C_CLOSED && pubs[p].busy;
        if (!busy) break;
    }
}

/* Returns the seconds from the first byte sent to the response, 0 if there is none. */
static double upload(void)
{
    struct conn *c = &pubs[0];
    char head[512], size[32];
    struct buf chunk = { 0 };
    int n = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: text/event-stream\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n", o.publish ? o.publish : "/topics/bench", o.port);
    uint64_t t0 = now_ns();
    t_progress = t0;
    buf_add(&c->out, head, n);
    c->busy = 1;
    c->sent = t0;
    while (next_g < total && c->state != C_CLOSED && c->busy) {
        if (!c->off && !c->out.n) t_progress = now_ns();
        while (next_g < total && c->out.n - c->off < 256 << 10) {
            chunk.n = 0;
            uint64_t ts = now_ns();
            for (int i = 0; i < o.batch && next_g < total; i++) {
                buf_add(&chunk, "data: ", 6);
                remaining[next_g] = counted;
                buf_add(&chunk, payload(next_g++, ts), o.size);
                buf_add(&chunk, "\n\n", 2);
            }
            n = snprintf(size, sizeof size, "%zx\r\n", chunk.n);
            buf_add(&c->out, size, n);
            buf_add(&c->out, chunk.s, chunk.n);
            buf_add(&c->out, next_g < total ? "\r\n" : "\r\n0\r\n\r\n", next_g < total ? 2 : 7);
        }
        conn_flush(c);
        if (c->state == C_CLOSED) break;
        if (c->off > 128 << 10) {             /* discards sent bytes, so that the buffer stays bounded */
            memmove(c->out.s, c->out.s + c->off, c->out.n -= c->off);
            c->off = 0;
            t_progress = now_ns();
        }
        step(c->want_write ? now_ns() + NS / 50 : 0);
        if (now_ns() > t_progress + o.stall * NS) break;
    }
    while (c->state != C_CLOSED && c->busy && now_ns() < t_progress + o.stall * NS) step(now_ns() + NS / 50);
    double seconds = c->busy ? 0 : (t_read - t0) / 1e9;
    uint64_t answered = now_ns();
    if (answered > t_progress) t_progress = answered;
    while (lo < next_g && !remaining[lo]) lo++;
    while (lo < total && now_ns() < t_progress + o.stall * NS) step(now_ns() + NS / 50);
    return seconds;
}

static void timed_out(int s)
{
    static const char m[] = "hubload: --max-time exceeded\n";
    (void)s;
    if (write(2, m, sizeof m - 1)) { }
    _exit(3);
}

int main(int argc, char **argv)
{
    enum { OPT_CLOSED = 256, OPT_UPLOAD, OPT_IDLE, OPT_WINDOW, OPT_BATCH, OPT_PATH, OPT_TOPICS, OPT_TLS, OPT_H2, OPT_STALLED,
           OPT_PUBLISH, OPT_PUBS, OPT_WARMUP, OPT_PID, OPT_SETTLE, OPT_STALL, OPT_MAX, OPT_ALONE };
    static const struct option lopts[] = {
        { "closed", 1, 0, OPT_CLOSED }, { "upload", 1, 0, OPT_UPLOAD }, { "idle", 1, 0, OPT_IDLE }, { "window", 1, 0, OPT_WINDOW },
        { "batch", 1, 0, OPT_BATCH }, { "path", 1, 0, OPT_PATH }, { "topics", 1, 0, OPT_TOPICS }, { "tls", 0, 0, OPT_TLS },
        { "h2", 1, 0, OPT_H2 }, { "stalled", 1, 0, OPT_STALLED }, { "publish", 1, 0, OPT_PUBLISH }, { "pubs", 1, 0, OPT_PUBS },
        { "warmup", 1, 0, OPT_WARMUP }, { "pid", 1, 0, OPT_PID }, { "settle", 1, 0, OPT_SETTLE }, { "stall", 1, 0, OPT_STALL },
        { "max-time", 1, 0, OPT_MAX }, { "alone", 0, 0, OPT_ALONE },
        { "help", 0, 0, 'h' }, { 0 } };
    int ch;
    while ((ch = getopt_long(argc, argv, "n:s:h", lopts, NULL)) != -1) switch (ch) {
    case 'n': o.n = atoi(optarg); break;
    case 's': o.size = atoi(optarg); break;
    case OPT_CLOSED: o.closed = atoi(optarg); break;
    case OPT_UPLOAD: o.upload = atoi(optarg); break;
    case OPT_IDLE: o.idle = atof(optarg); break;
    case OPT_WINDOW: o.window = atoi(optarg); break;
    case OPT_BATCH: o.batch = atoi(optarg); break;
    case OPT_PATH: o.path = optarg; break;
    case OPT_TOPICS: o.topics = atoi(optarg); break;
    case OPT_TLS: o.tls = 1; break;
    case OPT_H2: o.h2 = atoi(optarg); break;
    case OPT_STALLED: o.stalled = atof(optarg); break;
    case OPT_PUBLISH: o.publish = optarg; break;
    case OPT_PUBS: o.pubs = atoi(optarg); break;
    case OPT_WARMUP: o.warmup = atoi(optarg); break;
    case OPT_ALONE: o.alone = 1; break;
    case OPT_PID: o.pid = atoi(optarg); break;
    case OPT_SETTLE: o.settle = atof(optarg) / 1000; break;
    case OPT_STALL: o.stall = atof(optarg); break;
    case OPT_MAX: o.max_time = atof(optarg); break;
    case 'h': fputs(usage_text, stdout); return 0;
    default: fputs(usage_text, stderr); return 2;
    }
    if (optind + 1 != argc || !o.closed + !o.upload + !(o.idle > 0) != 2) { fputs(usage_text, stderr); return 2; }
    o.port = atoi(argv[optind]);
    if (!o.closed) o.warmup = 0;
    if (o.upload) o.pubs = 1;
    if (o.n < 1 || o.size < HEAD || o.pubs < 1 || o.window < 1 || o.batch < 1 || o.port < 1 || o.h2 < 0 || o.stalled < 0
        || o.stalled > 1 || o.topics < 0 || (o.stalled > 0 && o.h2 > 1) || (o.upload && (o.topics || o.tls)))
        die("options out of range or incompatible");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, timed_out);
    alarm(o.max_time + 1);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    const char *mark = strstr(o.path, "@TOPICS@");
    struct buf path = { 0 };
    buf_add(&path, o.path, mark ? (size_t)(mark - o.path) : strlen(o.path));
    for (int i = 0; mark && i < o.topics; i++) {
        char one[48];
        buf_add(&path, one, snprintf(one, sizeof one, "%ctopic=bench/%d", i ? '&' : '?', i));
    }
    buf_add(&path, "", 1);
    sub_path = path.s;
    if (o.tls) {
        tls_h1 = SSL_CTX_new(TLS_client_method());
        tls_h2 = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_alpn_protos(tls_h1, (const unsigned char *)"\x08http/1.1", 9);
        SSL_CTX_set_alpn_protos(tls_h2, (const unsigned char *)"\x02h2", 3);
        for (int i = 0; i < 2; i++)
            SSL_CTX_set_mode(i ? tls_h2 : tls_h1, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS
                             | SSL_MODE_ENABLE_PARTIAL_WRITE);
    }
    measure_from = o.warmup;
    total = o.upload ? o.upload : o.closed ? o.closed + o.warmup : 0;
    run_id = (uint32_t)(now_ns() / 1000) ^ (uint32_t)getpid() << 16;
    filler = zeroed(1, o.size + 1);
    for (int i = 0; i < o.size; i++) filler[i] = 'a' + i % 26;
    remaining = zeroed(total, 4);
    ep = epoll_create1(EPOLL_CLOEXEC);

    int each = o.h2 ? o.h2 : 1, stalled = 0;
    n_conns = (o.n + each - 1) / each;
    conns = zeroed(n_conns, sizeof *conns);
    pubs = zeroed(o.pubs, sizeof *pubs);
    streams = zeroed(o.n, sizeof *streams);
    for (int i = 0; i < o.n; i++) {
        streams[i].i = i;
        streams[i].topic = -1;
        streams[i].next = zeroed(o.pubs, 4);
        streams[i].told = zeroed(o.pubs, 4);
        streams[i].stalled = (int)((i + 1) * o.stalled + 1e-9) > (int)(i * o.stalled + 1e-9);
        stalled += streams[i].stalled;
    }
    struct usage before = usage_now();
    for (int i = 0; i < n_conns; i++) {
        conns[i].first = &streams[i * each];
        conns[i].streams = i == n_conns - 1 ? o.n - i * each : each;
        conn_open(&conns[i], 0);
        while (shaking >= 64) step(now_ns() + NS / 50);
    }
    for (uint64_t end = now_ns() + o.stall * NS; shaking > 0 && now_ns() < end; ) step(now_ns() + NS / 50);
    double connect_s = t_last_conn > t_first_conn ? (t_last_conn - t_first_conn) / 1e9 : 0;
    struct usage connected = usage_now();
    if (!n_open) die("no stream (%lu connections failed, %lu with status %d)", st.failed, st.bad_status, st.status);
    int opened = n_open;
    counted = o.alone ? 0 : n_open - stalled;
    for (int p = 0; p < o.pubs && total; p++) conn_open(&pubs[p], 1);
    wait_for(o.settle);
    struct usage idle = usage_now();

    if (o.warmup) publish_until(o.warmup, 1);
    struct usage c0 = usage_now();
    double self0 = self_cpu(), accept_s = 0;
    uint64_t t0 = now_ns();
    if (o.closed) publish_until(total, o.window);
    else if (o.upload) accept_s = upload();
    else wait_for(o.idle);
    struct usage c1 = usage_now();
    double self_s = self_cpu() - self0, wall = o.idle > 0 ? (now_ns() - t0) / 1e9 : t_last > t0 ? (t_last - t0) / 1e9 : 0;
    uint64_t early = st.closed_early;

    if (stalled) {                            /* drains them until nothing arrives for 1 s, at most 60 s */
        for (int i = 0; i < n_conns; i++)
            if (conns[i].first->stalled && conns[i].state == C_OPEN) { conns[i].reads = 1; ep_set(&conns[i], EPOLL_CTL_MOD); }
        uint64_t begin = now_ns(), now;
        t_read = begin;
        while ((now = now_ns()) < t_read + NS && now < begin + 60 * NS) step(now + NS / 20);
    }
    for (int i = 0; i < o.n && !o.alone; i++)
        for (int p = 0; p < o.pubs && total; p++) {
            struct stream *s = &streams[i];
            uint32_t end = (next_g + o.pubs - 1 - p) / o.pubs;
            if (s->open && !s->ended && s->next[p] < end) skipped(s, p, s->next[p], end);
            else if (s->stalled && s->open && s->next[p] < end) st.stalled_lost += end - s->next[p];
        }
    struct usage end_u = usage_now();

    double cpu = c1.cpu - c0.cpu, w = wall > 0 ? wall : 1, other = c1.host - c0.host - self_s - cpu;
    int bad = st.lost || st.late || st.corrupt || st.misrouted || st.failed || st.bad_status || st.pub_errors || early
        || opened < o.n || st.stalled_lost;
    const char *count = pubs[0].answer.s ? memmem(pubs[0].answer.s, pubs[0].answer.n, "\"count\":", 8) : NULL;
    unsigned long accepted = 0;
    if (count && o.upload) { buf_add(&pubs[0].answer, "", 1); accepted = strtoul(strstr(pubs[0].answer.s, "\"count\":") + 8, NULL, 10); }
    if (o.upload && (!(accept_s > 0) || accepted != o.upload)) bad = 1;
    printf("{\"ok\":%s,\"connections\":%d,\"streams\":%d,\"connect_s\":%.3f,\"connects_per_s\":%.0f", bad ? "false" : "true",
           n_conns, opened, connect_s, connect_s > 0 ? opened / connect_s : 0);
    if (o.tls) printf(",\"tls\":\"%s\"", negotiated);
    printf(",\"ttfb_us\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", hist_us(&h_ttfb, .5), hist_us(&h_ttfb, .99), h_ttfb.max / 1e3);
    if (o.pid) printf(",\"connect_cpu_us\":%.2f", (connected.cpu - before.cpu) * 1e6 / opened);
    if (total) {
        printf(",\"size\":%d,\"published\":%u,\"got\":%lu", o.size, next_g - measure_from, st.got);
        printf(",\"lost\":%lu,\"out_of_order\":%lu,\"corrupt\":%lu,\"misrouted\":%lu,\"foreign\":%lu,\"gaps\":%lu,\"told\":%lu",
               st.lost, st.late, st.corrupt, st.misrouted, st.foreign, st.gaps, st.told);
        printf(",\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", hist_us(&h_lat, .5), hist_us(&h_lat, .9),
               hist_us(&h_lat, .99), h_lat.max / 1e3);
        printf(",\"ack_us\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", hist_us(&h_ack, .5), hist_us(&h_ack, .99), h_ack.max / 1e3);
        printf(",\"deliveries_per_s\":%.0f", st.got / w);
    }
    if (o.upload) printf(",\"accepted\":%lu,\"accept_s\":%.4f,\"accepted_per_s\":%.0f", accepted, accept_s, accept_s > 0 ? accepted / accept_s : 0);
    if (o.idle > 0) printf(",\"comments\":%lu,\"heartbeats_s\":{\"n\":%lu,\"min\":%.3f,\"p1\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}",
                           st.comments, h_gap.n, h_gap.min / 1e9, hist_us(&h_gap, .01) / 1e6, hist_us(&h_gap, .5) / 1e6,
                           hist_us(&h_gap, .99) / 1e6, h_gap.max / 1e9);
    if (stalled) printf(",\"slow\":{\"connections\":%d,\"closed_by_server\":%lu,\"events_got\":%lu,\"gaps\":%lu,\"told\":%lu,\"lost\":%lu}",
                        stalled, st.stalled_closed, st.stalled_got, st.stalled_gaps, st.stalled_told, st.stalled_lost);
    printf(",\"wall_s\":%.4f,\"loadgen_cpu_s\":%.3f,\"other_cpu_s\":%.2f", wall, self_s, other > 0 ? other : 0);
    if (o.pid) {
        printf(",\"server_cpu_s\":%.4f", cpu);
        if (st.got) printf(",\"server_cpu_us_per_delivery\":%.3f", cpu * 1e6 / st.got);
        if (total) printf(",\"server_cpu_us_per_event\":%.3f", cpu * 1e6 / (next_g - measure_from));
        printf(",\"rss_before\":%lu,\"rss_idle\":%lu,\"rss_end\":%lu,\"rss_per_conn\":%.0f", before.rss, idle.rss, end_u.rss,
               ((double)idle.rss - before.rss) / opened);
    }
    printf(",\"closed_early\":%lu,\"connect_errors\":%lu,\"bad_status\":%lu,\"publish_errors\":%lu", early, st.failed, st.bad_status, st.pub_errors);
    if (st.status) printf(",\"bad_status_code\":%d", st.status);
    if (st.pub_status) printf(",\"publish_bad_status\":%d", st.pub_status);
    printf("}\n");
    return bad;
}
