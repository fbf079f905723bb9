/* Preloaded below a server: records what it writes to files of one folder, or lets writing fail.

   DISK_UNDER   files whose path begins so are watched
   DISK_TRACE   a file that every write, truncation, sync and removal is appended to, in order; a sync is then
                only noted (twice: begun, finished), because the trace alone says what survives
   DISK_ORDERS  a file of two int32: the errno that writing fails with (0: none), and after how many writes the
                whole process group is killed (0: never) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC_BEGUN, SYNC_FINISHED, REMOVE };
enum { FILES = 65536 };

struct record { uint32_t kind, file; uint64_t offset, length; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t watched[FILES]; /* by descriptor: a number for each open, from 1; 0: not ours */
static uint32_t opened;
static int trace = -1;
static volatile int32_t *orders;
static const char *under;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_TRACE");
    under = getenv("DISK_UNDER");
    if (path) trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    path = getenv("DISK_ORDERS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *page = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (page != MAP_FAILED) orders = page;
        close(file);
    }
}

static ssize_t raw_write(int file, const void *data, size_t size);

static void note(uint32_t kind, uint32_t file, uint64_t offset, const void *data, uint64_t length, int whole) {
    if (trace < 0) return;
    struct record head = {kind, file, offset, length};
    raw_write(trace, &head, sizeof head);
    if (whole) raw_write(trace, data, length);
}

static int refused(void) {
    if (!orders) return 0;
    if (orders[1] && !--orders[1]) kill(0, SIGKILL);
    if (orders[0]) errno = orders[0];
    return orders[0] != 0;
}

static uint32_t number(int file) { return file >= 0 && file < FILES ? watched[file] : 0; }

static int opening(int file, const char *path) {
    if (file < 0 || file >= FILES) return file;
    pthread_mutex_lock(&lock);
    watched[file] = 0;
    if (under && !strncmp(path, under, strlen(under))) {
        watched[file] = ++opened;
        note(OPEN, opened, 0, path, strlen(path), 1);
    }
    pthread_mutex_unlock(&lock);
    return file;
}

static ssize_t raw_write(int file, const void *data, size_t size) { REAL(write); return real(file, data, size); }

#define OPENING(name) int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    REAL(name); return opening(real(path, flags, mode), path); }
OPENING(open)
OPENING(open64)

int close(int file) {
    REAL(close);
    if (file >= 0 && file < FILES) watched[file] = 0;
    return real(file);
}

ssize_t write(int file, const void *data, size_t size) {
    REAL(write);
    uint32_t ours = number(file);
    if (!ours) return real(file, data, size);
    if (refused()) return -1;
    pthread_mutex_lock(&lock);
    off_t at = lseek(file, 0, SEEK_CUR);
    if (fcntl(file, F_GETFL) & O_APPEND) { struct stat now; fstat(file, &now); at = now.st_size; }
    note(WRITE, ours, (uint64_t)at, data, size, 1);
    ssize_t done = real(file, data, size);
    pthread_mutex_unlock(&lock);
    return done;
}

#define WRITING(name) ssize_t name(int file, const void *data, size_t size, off_t at) { \
    REAL(name); uint32_t ours = number(file); \
    if (!ours) return real(file, data, size, at); \
    if (refused()) return -1; \
    pthread_mutex_lock(&lock); \
    note(WRITE, ours, (uint64_t)at, data, size, 1); \
    ssize_t done = real(file, data, size, at); \
    pthread_mutex_unlock(&lock); return done; }
WRITING(pwrite)
WRITING(pwrite64)

#define TRUNCATING(name) int name(int file, off_t size) { \
    REAL(name); uint32_t ours = number(file); \
    if (!ours) return real(file, size); \
    if (refused()) return -1; \
    pthread_mutex_lock(&lock); \
    note(TRUNCATE, ours, (uint64_t)size, 0, 0, 0); \
    int done = real(file, size); \
    pthread_mutex_unlock(&lock); return done; }
TRUNCATING(ftruncate)
TRUNCATING(ftruncate64)

#define SYNCING(name) int name(int file) { \
    REAL(name); uint32_t ours = number(file); \
    if (!ours) return real(file); \
    if (refused()) return -1; \
    if (trace < 0) return real(file); \
    pthread_mutex_lock(&lock); note(SYNC_BEGUN, ours, 0, 0, 0, 0); pthread_mutex_unlock(&lock); \
    pthread_mutex_lock(&lock); note(SYNC_FINISHED, ours, 0, 0, 0, 0); pthread_mutex_unlock(&lock); \
    return 0; }
SYNCING(fsync)
SYNCING(fdatasync)

int unlink(const char *path) {
    REAL(unlink);
    if (under && !strncmp(path, under, strlen(under))) {
        pthread_mutex_lock(&lock);
        note(REMOVE, 0, 0, path, strlen(path), 1);
        pthread_mutex_unlock(&lock);
    }
    return real(path);
}
