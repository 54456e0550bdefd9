/* Sends pre-encoded PUBLISH packets as fast as they are taken, or to an exact schedule.
 *
 *   pump listen|connect HOST PORT PACKETS INDEX DONE QOS INFLIGHT CHUNK
 *
 * listen: a broker of sorts for one client at a time. It answers CONNECT, SUBSCRIBE, PUBLISH (QoS 1) and PINGREQ, and
 * then streams to the client whatever that subscribed to. connect: a client that publishes to a real broker.
 *
 * Commands on stdin:   send COUNT SECONDS RATE WINDOW ORIGIN STEP   (0: no limit, no schedule, no window)
 *
 * With a RATE, messages bear the time at which they are due; else ORIGIN, and each STEP more than the one before (s):
 * sensors are as regular as they should be, however fast all of it is taken.
 *
 * Answers on stdout, a JSON object a line. DONE is a file with the number of messages that the consumer has finished:
 * with a WINDOW no more than so many are under way. INFLIGHT bounds what is unacknowledged with QoS 1, as brokers do.
 *
 * It refuses MQTT 5, QoS 2 and packets beyond 1 MiB from the client: what it is for needs none of them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TICKS = 10000, INBOX = 1 << 20 };    /* ticks of the stamps a second; bytes */
static const double PAUSE = 100e-6;         /* s between looks at a schedule or window */

struct place { int64_t start, id, time; };

static char *packets;
static struct place *at;
static int64_t packets_count, qos, inflight, chunk;
static volatile uint64_t *done;

static int listener = -1, peer = -1, ready, connections;
static char inbox[INBOX], reply[INBOX];
static size_t inbox_size, reply_size;
static int64_t next, sent, acked, pings, published, lost;
static char *unsent, *unsent_end;       /* what the socket has not taken yet of the latest chunk */
static int64_t unsent_first_due = -1;   /* of its first message, ns */
static uint16_t packet_id;

static struct {
    int active;
    int64_t count, sent, began, ends, window;
    double rate, origin, step, late_max, late_sum;
    int64_t chunks, full;
} phase;

static void fail(const char *what) {
    printf("{\"error\": \"%s: %s\"}\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void *map(const char *path, size_t *size, int shared) {
    int fd = open(path, shared ? O_RDWR : O_RDONLY);
    struct stat s;
    if (fd < 0 || fstat(fd, &s)) fail(path);
    void *m = mmap(NULL, s.st_size, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (m == MAP_FAILED) fail(path);
    close(fd);
    *size = s.st_size;
    return m;
}

/* --- the connection */

static void adopt(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    peer = fd;
    connections++;
    inbox_size = reply_size = 0;
    unsent = unsent_end = NULL;
    ready = 0;
}

static void hang_up(void) {
    if (peer >= 0) close(peer);
    lost += qos ? sent - acked - lost : 0;  /* what is unacknowledged now will never be */
    peer = -1;
    ready = 0;
    if (listener < 0) fail("the broker hung up");
}

static void answer(const void *bytes, size_t size) {
    if (reply_size + size > INBOX) fail("the client does not read its answers");
    memcpy(reply + reply_size, bytes, size);
    reply_size += size;
}

static void understand(uint8_t type, const uint8_t *body, size_t size) {
    switch (type >> 4) {
    case 1: /* CONNECT */
        if (size < 8 || body[6] != 4) fail("not MQTT 3.1.1");
        answer("\x20\x02\x00\x00", 4);
        break;
    case 2: /* CONNACK */
        if (size < 2 || body[1]) fail("the broker refuses");
        ready = 1;
        break;
    case 3: /* PUBLISH */
        published++;
        if (type & 2) {
            size_t topic = (size_t)body[0] << 8 | body[1];
            uint8_t ack[4] = {0x40, 2, body[2 + topic], body[3 + topic]};
            answer(ack, 4);
        }
        break;
    case 4: /* PUBACK */
        acked++;
        break;
    case 8: { /* SUBSCRIBE */
        uint8_t ack[128] = {0x90, 0, body[0], body[1]};
        size_t filters = 0;
        for (size_t p = 2; p + 3 <= size && filters < 100; filters++) {
            p += 2 + ((size_t)body[p] << 8 | body[p + 1]);
            ack[4 + filters] = body[p++];
        }
        ack[1] = 2 + filters;
        answer(ack, 4 + filters);
        if (!ready) { printf("{\"subscribed\": %d}\n", connections); fflush(stdout); }
        ready = 1;
        break;
    }
    case 12: /* PINGREQ */
        pings++;
        answer("\xd0\x00", 2);
        break;
    }
}

static void hear(void) {
    ssize_t got = recv(peer, inbox + inbox_size, INBOX - inbox_size, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) { hang_up(); return; }
    if (got < 0) return;
    inbox_size += got;
    size_t p = 0;
    for (;;) {
        size_t length = 0, head = 1;
        int shift = 0;
        do {
            if (p + head >= inbox_size) goto rest;
            length |= (size_t)(inbox[p + head] & 127) << shift;
            shift += 7;
        } while (inbox[p + head++] & 128 && shift < 28);
        if (head + length > INBOX) fail("a packet beyond 1 MiB");
        if (p + head + length > inbox_size) break;
        understand(inbox[p], (uint8_t *)inbox + p + head, length);
        p += head + length;
    }
rest:
    memmove(inbox, inbox + p, inbox_size - p);
    inbox_size -= p;
}

/* 1: all taken, 0: the socket is full or gone */
static int put(char **from, char *end) {
    while (*from < end) {
        ssize_t took = send(peer, *from, end - *from, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (took < 0) {
            if (errno != EAGAIN && errno != EINTR) hang_up();
            phase.full++;
            return 0;
        }
        *from += took;
    }
    return 1;
}

static int flush_answers(void) {
    char *from = reply;
    int all = put(&from, reply + reply_size);
    memmove(reply, from, reply + reply_size - from);
    reply_size -= from - reply;
    return all;
}

/* --- the stream */

static void stamp(char *to, int64_t tick) {
    int64_t s = tick / TICKS, f = tick % TICKS;
    for (int k = 9; k >= 0; k--, s /= 10) to[k] = '0' + s % 10;
    for (int k = 14; k > 10; k--, f /= 10) to[k] = '0' + f % 10;
}

static int64_t due(int64_t number) { return phase.began + (int64_t)((number + 1) * 1e9 / phase.rate); }

/* How many messages may go out now */
static int64_t allowed(int64_t now) {
    int64_t n = packets_count - next;  /* to the end of the ring */
    if (phase.count && phase.count - phase.sent < n) n = phase.count - phase.sent;
    if (phase.rate > 0) {
        int64_t owed = (int64_t)((now - phase.began) * 1e-9 * phase.rate) - phase.sent;
        if (owed < n) n = owed;
    }
    if (phase.window && phase.window - (sent - (int64_t)*done) < n) n = phase.window - (sent - (int64_t)*done);
    if (qos && inflight && inflight - (sent - acked - lost) < n) n = inflight - (sent - acked - lost);
    return n < 0 ? 0 : n < chunk ? n : chunk;
}

/* Prepare n messages: times, ids */
static void prepare(int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        struct place *p = at + next + k;
        int64_t number = phase.sent + k;
        double virtual = (phase.origin + number * phase.step) * TICKS;
        int64_t tick = phase.rate > 0 ? due(number) / (1000000000 / TICKS) : (int64_t)virtual;
        if (p->time >= 0) stamp(packets + p->time, tick);
        if (p->id >= 0) {
            if (++packet_id == 0) packet_id = 1;
            packets[p->id] = packet_id >> 8;
            packets[p->id + 1] = packet_id & 255;
        }
    }
    unsent = packets + at[next].start;
    unsent_end = packets + at[next + n].start;
    unsent_first_due = phase.rate > 0 ? due(phase.sent) : -1;
    sent += n;
    phase.sent += n;
    next = (next + n) % packets_count;
}

/* Exact times need a processor at once; where that is not permitted, the lateness that is told shows it */
static void hurry(int exact) {
    struct sched_param p = {.sched_priority = exact};
    sched_setscheduler(0, exact ? SCHED_FIFO : SCHED_OTHER, &p);
}

static void finish(int64_t now) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    phase.active = 0;
    hurry(0);
    printf("{\"sent\": %lld, \"seconds\": %.6f, \"acked\": %lld, \"pings\": %lld, \"published\": %lld, "
           "\"connections\": %d, \"late_mean\": %.6f, \"late_max\": %.6f, \"full\": %lld, \"cpu\": %.6f}\n",
           (long long)phase.sent, (now - phase.began) * 1e-9, (long long)acked, (long long)pings,
           (long long)published, connections, phase.late_sum / (phase.chunks ? phase.chunks : 1), phase.late_max,
           (long long)phase.full, u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6);
    fflush(stdout);
}

/* Send what may be sent. The time to wait, s: negative while the socket is full, 0 to go on at once */
static double stream(void) {
    for (int k = 0; k < 16; k++) {
        if (unsent < unsent_end && !put(&unsent, unsent_end)) return -1;
        int64_t now = now_ns();
        if (unsent_first_due >= 0) {
            double late = (now - unsent_first_due) * 1e-9;
            phase.late_sum += late;
            phase.late_max = fmax(phase.late_max, late);
            phase.chunks++;
            unsent_first_due = -1;
        }
        if (reply_size && !flush_answers()) return -1;
        if ((phase.count && phase.sent >= phase.count) || now >= phase.ends) { finish(now); return 0; }
        int64_t n = allowed(now);
        if (!n && phase.rate > 0) return fmax(PAUSE, (due(phase.sent) - now) * 1e-9);
        if (!n) return PAUSE;
        prepare(n);
    }
    return 0;
}

static void command(void) {
    char line[256];
    double count, seconds, rate, window, origin, step;
    if (!fgets(line, sizeof line, stdin)) exit(0);
    int read = sscanf(line, "send %lf %lf %lf %lf %lf %lf", &count, &seconds, &rate, &window, &origin, &step);
    if (read != 6) fail("unknown command");
    memset(&phase, 0, sizeof phase);
    phase.began = now_ns();
    phase.count = (int64_t)count;
    phase.ends = seconds > 0 ? phase.began + (int64_t)(seconds * 1e9) : INT64_MAX;
    phase.rate = rate;
    phase.window = (int64_t)window;
    phase.origin = origin, phase.step = step;
    phase.active = 1;
    hurry(rate > 0);
}

static void open_port(int listening, struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    socklen_t size = sizeof *address;
    if (!listening) {
        if (connect(fd, (struct sockaddr *)address, size)) fail("connect");
        adopt(fd);
        answer("\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04pump", 18);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)address, size) || listen(fd, 4)) fail("listen");
    getsockname(fd, (struct sockaddr *)address, &size);
    listener = fd;
    printf("{\"port\": %d}\n", ntohs(address->sin_port));
    fflush(stdout);
}

int main(int argc, char **argv) {
    size_t size;
    if (argc != 10) { fprintf(stderr, "see the head of pump.c\n"); return 2; }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
    if (!inet_aton(argv[2], &address.sin_addr)) fail(argv[2]);
    packets = map(argv[4], &size, 0);
    at = map(argv[5], &size, 0);
    packets_count = size / sizeof *at - 1;
    done = map(argv[6], &size, 1);
    qos = atoll(argv[7]), inflight = atoll(argv[8]), chunk = atoll(argv[9]);
    prctl(PR_SET_TIMERSLACK, 1000);
    prctl(PR_SET_PDEATHSIG, 9);
    open_port(!strcmp(argv[1], "listen"), &address);
    for (int told = 0;;) {
        double wait = 3600;
        if (peer >= 0 && reply_size && unsent == unsent_end) flush_answers();
        if (phase.active && ready && peer >= 0) wait = stream();
        else if (phase.active && now_ns() >= phase.ends) finish(now_ns());
        else if (phase.active) wait = 0.1;  /* nobody is there to send to */
        if (listener < 0 && ready && !told) { told = 1; printf("{\"connected\": 1}\n"); fflush(stdout); }
        int full = wait < 0 || (peer >= 0 && reply_size);
        if (wait < 0 || !phase.active) wait = 3600;
        struct pollfd fds[3] = {{0, POLLIN, 0}, {listener, POLLIN, 0}, {peer, POLLIN | (full ? POLLOUT : 0), 0}};
        struct timespec pause = {(time_t)wait, (long)(fmod(wait, 1) * 1e9)};
        if (ppoll(fds, 3, &pause, NULL) < 0 && errno != EINTR) fail("poll");
        if (fds[0].revents) command();
        if (peer >= 0 && fds[2].revents) hear();
        if (fds[1].revents) {
            if (peer >= 0) hang_up();  /* the client has come back: its old connection is dead */
            adopt(accept(listener, NULL, NULL));
        }
    }
}
