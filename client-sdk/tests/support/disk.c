/*
 * What of a process's files would be left after a loss of power. Preloaded into the processes of a
 * test (LD_PRELOAD); support/disk.rs compiles it, reads what it writes, and applies the loss.
 *
 * After each sync that succeeded, and before the caller hears of it, one line is appended to
 * JOURNAL:
 *
 *   F inode length .            of this file so many bytes are on disk
 *   D inode t:inode/name… .     this directory is on disk with these entries (t: f file, d directory)
 *   T inode length .            this file was shortened, so no more than this is certain
 *
 * A length is taken before the sync begins, and so are a directory's entries: what is written
 * meanwhile is not claimed. A name is on disk only when its directory was synced, whatever was
 * done to the file. Files that were synced or listed get a second name in KEPT, so that one that
 * was removed or replaced without a sync of its directory can come back, and its inode number is
 * not used again meanwhile.
 *
 * What is not seen: bytes written over bytes that are on disk count as written. The files of a node
 * only grow or are replaced as a whole. sync(2), syncfs(2) and msync(2) count as no sync.
 *
 * Environment: ENJAMBRE_DISK_BELOW (absolute path of what is watched), ENJAMBRE_DISK_JOURNAL,
 * ENJAMBRE_DISK_KEPT (a directory on the same file system); ENJAMBRE_DISK_LIES for a disk that says
 * "synced" and writes nothing; ENJAMBRE_DISK_BOOT_ID names a file to be read as the system's boot
 * id, for after a loss of power the system has another one.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
/* A line at most: some thousand entries. */
#define LINE_MAX_BYTES (256 * 1024)

/* Asked each time: only one that was set before main is ever there, and syncs are rare. */
static const char *setting(const char *name) { return getenv(name); }

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) {
    fprintf(stderr, "disk.c: no %s to call\n", name);
    abort();
  }
  return found;
}

/* Whether a descriptor is of a watched file or directory; its path. */
static int watched(int fd, struct stat *st, char *path) {
  const char *below = setting("ENJAMBRE_DISK_BELOW");
  char link[64];
  if (!below || fstat(fd, st) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, PATH_MAX - 1);
  if (len < 0) return 0;
  path[len] = 0;
  size_t prefix = strlen(below);
  return strncmp(path, below, prefix) == 0 && path[prefix] == '/';
}

static void append(const char *line) {
  const char *journal = setting("ENJAMBRE_DISK_JOURNAL");
  int (*real_open)(const char *, int, ...) = next("open");
  int fd = journal ? real_open(journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
  size_t len = strlen(line);
  if (fd < 0 || write(fd, line, len) != (ssize_t)len) {
    fprintf(stderr, "disk.c: the journal cannot be written\n");
    abort();
  }
  close(fd);
}

/* Gives a file a second name, its inode number. No, if it was removed just now. */
static int keep(int at, const char *name, int flags, ino_t inode) {
  char kept[PATH_MAX];
  snprintf(kept, sizeof kept, "%s/%lu", setting("ENJAMBRE_DISK_KEPT"), (unsigned long)inode);
  return linkat(at, name, AT_FDCWD, kept, flags) == 0 || errno == EEXIST;
}

/* The line for a directory, or NULL. */
static char *listing(const char *path, ino_t inode) {
  DIR *dir = opendir(path);
  char *line = malloc(LINE_MAX_BYTES);
  if (!dir || !line) abort();
  size_t at = (size_t)snprintf(line, LINE_MAX_BYTES, "\nD %lu ", (unsigned long)inode);
  struct dirent *entry;
  while ((entry = readdir(dir))) {
    struct stat st;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    int is_file = S_ISREG(st.st_mode);
    if (is_file && !keep(dirfd(dir), entry->d_name, 0, st.st_ino)) continue;
    size_t room = LINE_MAX_BYTES - at;
    int len = snprintf(line + at, room, "%c:%lu/%s/", is_file ? 'f' : 'd',
                       (unsigned long)st.st_ino, entry->d_name);
    if (len < 0 || (size_t)len + 4 > room) abort();
    at += (size_t)len;
  }
  snprintf(line + at, LINE_MAX_BYTES - at, " .\n");
  closedir(dir);
  return line;
}

static void note_length(char kind, ino_t inode, off_t length) {
  char line[96];
  snprintf(line, sizeof line, "\n%c %lu %lld .\n", kind, (unsigned long)inode, (long long)length);
  append(line);
}

static int synced(int fd, const char *name) {
  struct stat st;
  char path[PATH_MAX], *line = NULL;
  int (*real)(int) = next(name);
  int is_ours = watched(fd, &st, path) && !setting("ENJAMBRE_DISK_LIES");
  if (is_ours && S_ISDIR(st.st_mode)) line = listing(path, st.st_ino);
  int result = real(fd);
  int error = errno;
  if (is_ours && result == 0) {
    if (line) {
      append(line);
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      keep(AT_FDCWD, link, AT_SYMLINK_FOLLOW, st.st_ino);
      note_length('F', st.st_ino, st.st_size);
    }
  }
  free(line);
  errno = error;
  return result;
}

int fsync(int fd) { return synced(fd, "fsync"); }

int fdatasync(int fd) { return synced(fd, "fdatasync"); }

/* After the file was shortened: a disk that lies is not certain of its old length either. */
static void shortened(int fd, off_t length) {
  struct stat st;
  char path[PATH_MAX];
  int error = errno;
  if (watched(fd, &st, path) && S_ISREG(st.st_mode)) note_length('T', st.st_ino, length);
  errno = error;
}

int ftruncate(int fd, off_t length) {
  int (*real)(int, off_t) = next("ftruncate");
  int result = real(fd, length);
  if (result == 0) shortened(fd, length);
  return result;
}

int ftruncate64(int fd, off64_t length) {
  int (*real)(int, off64_t) = next("ftruncate64");
  int result = real(fd, length);
  if (result == 0) shortened(fd, length);
  return result;
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, ...) = next(name);
  const char *boot = setting("ENJAMBRE_DISK_BOOT_ID");
  if (boot && strcmp(path, BOOT_ID) == 0) path = boot;
  int fd = real(path, flags, mode);
  if (fd >= 0 && (flags & O_TRUNC)) shortened(fd, 0);
  return fd;
}

static mode_t mode_of(int flags, va_list args) {
  int makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
  return makes ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  return opened("open64", path, flags, mode);
}

/* On btrfs the database leaves out syncs of directories that it needs elsewhere. Every file system
 * is ext4 here, so that the strict rule about names holds on any. */
int fstatfs(int fd, struct statfs *buffer) {
  int (*real)(int, struct statfs *) = next("fstatfs");
  int result = real(fd, buffer);
  if (result == 0 && setting("ENJAMBRE_DISK_BELOW")) buffer->f_type = 0xef53;
  return result;
}
