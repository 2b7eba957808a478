/* SPDX-License-Identifier: Apache-2.0
 *
 * replayload - subscribers that replay a hub's history from its beginning, as fast as they can read:
 *
 *   cc -O2 -Wall -o replayload replayload.c
 *
 * Opens N streams with `Last-Event-ID: earliest`, reads K events of each, checks that the numbers of their IDs increase
 * and that no gap is reported, and prints one JSON object. sseload and hubload know only events that they publish
 * themselves. One thread, epoll, HTTP/1.1, loopback only; every run has a time limit.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage_text[] =
"usage: replayload [options] PORT PATH\n"
"  -n N            streams (100)\n"
"  --events K      events that each has to read (1000000)\n"
"  --max-time S    time limit (300)\n"
"Exit status: 0 if every stream got its events in order and without a gap; 1 otherwise; 2 usage.\n";

#define NS 1000000000ull
#define LINE 4096 /* the most that is kept of a line that lies in two reads */

enum { HEAD, SIZE, DATA, DATA_END, DONE };

struct stream {
    int fd, state, is_gap, has_id;
    uint32_t line_n;   /* bytes of an incomplete line, or of the head's end */
    uint64_t left;     /* bytes of the chunk */
    uint64_t number, last, events;
    char line[LINE];
};

static int n = 100;
static uint64_t wanted = 1000000, events, bytes, gaps, disorder, bad, incomplete;
static double max_time = 300;
static int done;

static void die(const char *what)
{
    fprintf(stderr, "replayload: %s\n", what);
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

/* A line of the event stream, without its end. */
static void take_line(struct stream *s, const char *line, size_t size)
{
    if (size == 0) {
        if (s->is_gap) gaps++;
        else if (s->has_id) {
            if (s->number <= s->last) disorder++;
            s->last = s->number;
            s->events++;
            events++;
        }
        s->is_gap = s->has_id = 0;
    } else if (size > 3 && !memcmp(line, "id:", 3)) {
        const char *dash = memchr(line, '-', size);
        uint64_t number = 0;
        if (dash)
            for (const char *p = dash + 1; p < line + size && *p >= '0' && *p <= '9'; p++) number = number * 10 + (*p - '0');
        s->number = number;
        s->has_id = 1;
    } else if (size >= 10 && !memcmp(line, "event: gap", 10)) {
        s->is_gap = 1;
    }
}

static void take_data(struct stream *s, const char *at, size_t size)
{
    const char *end = at + size;
    while (at < end) {
        const char *line_end = memchr(at, '\n', end - at);
        size_t part = (line_end ? line_end : end) - at;
        if (s->line_n || !line_end) {
            size_t room = LINE - s->line_n;
            if (part < room) room = part;
            memcpy(s->line + s->line_n, at, room);
            s->line_n += room;
            if (!line_end) return;
            take_line(s, s->line, s->line_n);
            s->line_n = 0;
        } else {
            take_line(s, at, part);
        }
        at = line_end + 1;
    }
}

/* Parses what was received: the head, then chunks. Returns 0 if the stream is broken. */
static int take(struct stream *s, const char *at, size_t size)
{
    const char *end = at + size;
    while (at < end) switch (s->state) {
    case HEAD:
        /* The head is short; its status and its end are all that matters. */
        if (s->line_n == LINE) return 0;
        s->line[s->line_n++] = *at++;
        if (s->line_n >= 4 && !memcmp(s->line + s->line_n - 4, "\r\n\r\n", 4)) {
            if (s->line_n < 12 || memcmp(s->line + 9, "200", 3) || !memmem(s->line, s->line_n, "chunked", 7)) return 0;
            s->line_n = 0;
            s->left = 0;
            s->state = SIZE;
        }
        break;
    case SIZE: {
        char c = *at++;
        if (c == '\n') {
            if (s->left == 0) return 0;   /* the end of the body */
            s->state = DATA;
        } else if (c != '\r') {
            int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
            if (digit < 0 || s->left >> 40) return 0;
            s->left = s->left << 4 | digit;
        }
        break;
    }
    case DATA: {
        size_t part = end - at;
        if (part > s->left) part = s->left;
        take_data(s, at, part);
        at += part;
        s->left -= part;
        if (!s->left) s->state = DATA_END;
        break;
    }
    case DATA_END:
        if (*at++ == '\n') s->state = SIZE;
        break;
    default: return 1;
    }
    return 1;
}

static void finish(struct stream *s)
{
    close(s->fd);
    s->state = DONE;
    done++;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "events", 1, 0, 'e' }, { "max-time", 1, 0, 't' }, { "help", 0, 0, 'h' }, { 0 } };
    int c;
    while ((c = getopt_long(argc, argv, "n:h", options, NULL)) != -1) switch (c) {
    case 'n': n = atoi(optarg); break;
    case 'e': wanted = strtoull(optarg, NULL, 10); break;
    case 't': max_time = atof(optarg); break;
    case 'h': fputs(usage_text, stdout); return 0;
    default: fputs(usage_text, stderr); return 2;
    }
    if (optind + 2 != argc || n < 1 || n > 20000 || wanted < 1) { fputs(usage_text, stderr); return 2; }
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[optind])),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct stream *streams = calloc(n, sizeof *streams);
    static char buffer[256 << 10], request[4096];
    int ep = epoll_create1(0);
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                        "Last-Event-ID: earliest\r\n\r\n", argv[optind + 1]);
    if (!streams || ep < 0 || size >= (int)sizeof request) die("no memory, or the path is too long");

    uint64_t begin = now_ns(), first = 0, end = begin + (uint64_t)(max_time * NS);
    for (int i = 0; i < n; i++) {
        struct stream *s = streams + i;
        s->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof to)) die("cannot connect");
        if (write(s->fd, request, size) != size) die("cannot send");
        fcntl(s->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };
        epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e);
    }
    while (done < n && now_ns() < end) {
        struct epoll_event ready[64];
        int count = epoll_wait(ep, ready, 64, 200);
        for (int i = 0; i < count; i++) {
            struct stream *s = ready[i].data.ptr;
            ssize_t got = read(s->fd, buffer, sizeof buffer);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (got <= 0 || !take(s, buffer, got)) {
                bad++;
                finish(s);
                continue;
            }
            bytes += got;
            if (!first && events) first = now_ns();
            if (s->events >= wanted) finish(s);
        }
    }
    double seconds = (now_ns() - begin) / 1e9;
    for (int i = 0; i < n; i++) incomplete += streams[i].events < wanted;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("{\"streams\":%d,\"wanted\":%llu,\"seconds\":%.6f,\"first_event_s\":%.6f,\"events\":%llu,\"events_per_s\":%.1f,"
           "\"bytes\":%llu,\"gaps\":%llu,\"out_of_order\":%llu,\"broken\":%llu,\"incomplete\":%llu,\"loadgen_cpu_s\":%.3f}\n",
           n, (unsigned long long)wanted, seconds, first ? (first - begin) / 1e9 : 0, (unsigned long long)events,
           events / seconds, (unsigned long long)bytes, (unsigned long long)gaps, (unsigned long long)disorder,
           (unsigned long long)bad, (unsigned long long)incomplete,
           u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    return gaps || disorder || bad || incomplete;
}
