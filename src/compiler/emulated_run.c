// The program that runs an engine of another architecture under an emulator: a freestanding stand-in for the runtime.
// Its only argument is a file that emulator.cpp lays out: header, launches, arguments, symbols, code and all memory. It
// maps the file, calls the kernels in order, as the plan's regions say, and leaves the outputs in it.
typedef unsigned long long u64;
typedef long long i64;
typedef void (*Kernel)(void* const* buffers, i64* symbols, void* scratch, i64 task_begin, i64 task_end);

struct Header {
  u64 file_bytes, code_at, code_bytes, num_launches, launches_at, num_arguments, arguments_at, symbols_at, scratch_at, num_regions,
      regions_at;
};
struct Launch {
  u64 code_offset, first_argument, num_tasks;
};

// Places in the file are 0 where there is none.
struct Region {
  u64 begin, end, condition_at, limit_at, iteration_at, wanted, repeats;
  i64 symbol;
};

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
enum { kOpenAt = 56, kSeek = 62, kExit = 93, kMap = 222 };
enum { kHere = -100, kReadWrite = 2, kEnd = 2, kProtRead = 1, kProtWrite = 2, kProtExec = 4, kShared = 1, kPrivate = 2 };

// Calls the kernel in two parts, as two threads would.
static void launch(char* base, const char* code, const struct Header* header, u64 i) {
  const struct Launch* launches = (const struct Launch*)(base + header->launches_at);
  const u64* arguments = (const u64*)(base + header->arguments_at);
  Kernel kernel = (Kernel)(code + launches[i].code_offset);
  void* const* buffers = (void* const*)(arguments + launches[i].first_argument);
  i64* symbols = (i64*)(base + header->symbols_at);
  i64 tasks = (i64)launches[i].num_tasks, half = tasks / 2;
  if (half > 0) kernel(buffers, symbols, base + header->scratch_at, 0, half);
  kernel(buffers, symbols, base + header->scratch_at, half, tasks);
}

static int runs_again(char* base, const struct Region* region, i64 times) {
  if (region->condition_at && (base[region->condition_at] != 0) != (int)region->wanted) return 0;
  if (region->limit_at && times >= *(const i64*)(base + region->limit_at)) return 0;
  if (times > 0 && !region->repeats) return 0;
  if (region->iteration_at) *(i64*)(base + region->iteration_at) = times;
  return 1;
}

// Launches [begin, end); regions before `region` lie around them.
static void walk(char* base, const char* code, const struct Header* header, u64 begin, u64 end, u64 region) {
  const struct Region* regions = (const struct Region*)(base + header->regions_at);
  for (u64 i = begin; i < end;) {
    while (region < header->num_regions && regions[region].begin < i) ++region;
    if (region == header->num_regions || regions[region].begin != i) {
      launch(base, code, header, i++);
      continue;
    }
    i64 times = 0;
    while (runs_again(base, regions + region, times)) {
      walk(base, code, header, i, regions[region].end, region + 1);
      ++times;
    }
    if (regions[region].symbol >= 0) ((i64*)(base + header->symbols_at))[regions[region].symbol] = times;
    i = regions[region].end;
  }
}

static void run(char* base, const char* code, const struct Header* header) {
  u64* arguments = (u64*)(base + header->arguments_at);
  for (u64 i = 0; i < header->num_arguments; ++i) arguments[i] += (u64)base;
  walk(base, code, header, 0, header->num_launches, 0);
}

__attribute__((used)) void begin(char** stack) {
  char** arguments = stack + 1;  // behind the number of arguments
  long file = call(kOpenAt, kHere, (long)arguments[1], kReadWrite, 0, 0, 0);
  long size = file < 0 ? -1 : call(kSeek, file, 0, kEnd, 0, 0, 0);
  long base = size < (long)sizeof(struct Header) ? -1 : call(kMap, 0, size, kProtRead | kProtWrite, kShared, file, 0);
  if (base < 0 && base > -4096) call(kExit, 2, 0, 0, 0, 0, 0);
  const struct Header* header = (const struct Header*)base;
  if (header->file_bytes != (u64)size) call(kExit, 3, 0, 0, 0, 0, 0);
  long code = call(kMap, 0, (long)header->code_bytes, kProtRead | kProtExec, kPrivate, file, (long)header->code_at);
  if (code < 0 && code > -4096) call(kExit, 4, 0, 0, 0, 0, 0);
  run((char*)base, (const char*)code, header);
  call(kExit, 0, 0, 0, 0, 0, 0);
}

asm(".globl _start\n_start:\n  mov x0, sp\n  bl begin\n");
