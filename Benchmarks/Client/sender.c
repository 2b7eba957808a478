// SPDX-License-Identifier: Apache-2.0
//
// Sends an endless event stream to each client, as fast as the socket accepts it:
//
//     sender PORT          prints its port; 0 for any free port
//     GET /SIZE            events with SIZE bytes of data, in chunks of about 256 KiB
//     GET /SIZE/each       one chunk per event, as from a server that sends events individually
//
// Uses one thread per client, which sends the same buffer repeatedly.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_all(int s, const char *p, size_t n) {
    while (n > 0) {
        ssize_t k = send(s, p, n, MSG_NOSIGNAL);
        if (k <= 0) return -1;
        p += k;
        n -= k;
    }
    return 0;
}

static void *serve(void *arg) {
    int s = (int)(long)arg;
    char request[4096];
    size_t got = 0;
    while (got < sizeof request - 1) {
        ssize_t k = read(s, request + got, sizeof request - 1 - got);
        if (k <= 0) goto out;
        got += k;
        request[got] = 0;
        if (strstr(request, "\r\n\r\n")) break;
    }
    int size = 100;
    char mode[8] = "";
    sscanf(request, "GET /%d/%7[a-z]", &size, mode);
    int each = strcmp(mode, "each") == 0;
    const char *head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    if (send_all(s, head, strlen(head))) goto out;
    size_t event = 6 + size + 2, count = 262144 / event + 1, room = count * (event + 32) + 64;
    char *buffer = malloc(room);
    size_t n = 0;
    if (!each) n += sprintf(buffer, "%zx\r\n", count * event);
    for (size_t i = 0; i < count; i++) {
        if (each) n += sprintf(buffer + n, "%zx\r\n", event);
        memcpy(buffer + n, "data: ", 6);
        memset(buffer + n + 6, 'x', size);
        memcpy(buffer + n + 6 + size, "\n\n", 2);
        n += event;
        if (each) { memcpy(buffer + n, "\r\n", 2); n += 2; }
    }
    if (!each) { memcpy(buffer + n, "\r\n", 2); n += 2; }
    while (!send_all(s, buffer, n)) {}
    free(buffer);
out:
    close(s);
    return NULL;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof a;
    if (bind(l, (struct sockaddr *)&a, sizeof a) || listen(l, 64)) { perror("listen"); return 1; }
    getsockname(l, (struct sockaddr *)&a, &length);
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    for (;;) {
        int s = accept(l, NULL, NULL);
        pthread_t t;
        if (s < 0) continue;
        pthread_create(&t, NULL, serve, (void *)(long)s);
        pthread_detach(t);
    }
}
