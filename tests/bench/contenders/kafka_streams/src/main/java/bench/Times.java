package bench;

import java.time.LocalDate;

/** RFC 3339 with an offset to milliseconds since 1970, and back. */
final class Times {
  private static final long EARLIEST_MS = 946_684_800_000L;
  private static final long LATEST_MS = 253_402_300_799_999L;
  private static final long DAY_MS = 86_400_000L;

  private Times() {}

  /** Throws IllegalArgumentException where it is no time, or one that the contract does not believe. */
  static long parse(Object value, long recordMs) {
    long at = value instanceof Long ms ? ms : value instanceof String text ? parse(text) : Long.MIN_VALUE;
    if (at < EARLIEST_MS || at > LATEST_MS || (recordMs >= 0 && at > recordMs + DAY_MS)) {
      throw new IllegalArgumentException("occurred_at: " + value);
    }
    return at;
  }

  private static long parse(String text) {
    int length = text.length();
    char t = length < 20 ? 0 : text.charAt(10);
    if ((t != 'T' && t != 't' && t != ' ') || text.charAt(4) != '-' || text.charAt(7) != '-' || text.charAt(13) != ':'
        || text.charAt(16) != ':') {
      throw new IllegalArgumentException("occurred_at: " + text);
    }
    int year = digits(text, 0, 4), month = digits(text, 5, 7), day = digits(text, 8, 10);
    int hour = digits(text, 11, 13), minute = digits(text, 14, 16), second = digits(text, 17, 19);
    if (hour > 23 || minute > 59 || second > 59) {
      throw new IllegalArgumentException("occurred_at: " + text);
    }
    long at = LocalDate.of(year, month, day).toEpochDay() * DAY_MS + hour * 3_600_000L + minute * 60_000L + second * 1000L;
    int next = 19;
    if (text.charAt(next) == '.') {
      int scale = 100;
      for (next++; next < length && Character.isDigit(text.charAt(next)); next++, scale /= 10) {
        at += (long) scale * (text.charAt(next) - '0'); // scale is 0 from the fourth digit on: cut, not rounded
      }
    }
    return at - offsetMs(text, next);
  }

  private static long offsetMs(String text, int next) {
    char sign = next < text.length() ? text.charAt(next) : 0;
    if ((sign == 'Z' || sign == 'z') && next + 1 == text.length()) {
      return 0;
    }
    if ((sign != '+' && sign != '-') || next + 6 != text.length() || text.charAt(next + 3) != ':') {
      throw new IllegalArgumentException("occurred_at: " + text);
    }
    long offset = digits(text, next + 1, next + 3) * 3_600_000L + digits(text, next + 4, next + 6) * 60_000L;
    return sign == '+' ? offset : -offset;
  }

  private static int digits(String text, int from, int to) {
    int number = 0;
    for (int i = from; i < to; i++) {
      int digit = text.charAt(i) - '0';
      if (digit < 0 || digit > 9) {
        throw new IllegalArgumentException("occurred_at: " + text);
      }
      number = number * 10 + digit;
    }
    return number;
  }

  /** `2026-01-05T10:00:00.000Z`. */
  static String format(long ms) {
    LocalDate date = LocalDate.ofEpochDay(Math.floorDiv(ms, DAY_MS));
    int rest = (int) Math.floorMod(ms, DAY_MS);
    char[] out = "0000-00-00T00:00:00.000Z".toCharArray();
    write(out, 3, date.getYear());
    write(out, 6, date.getMonthValue());
    write(out, 9, date.getDayOfMonth());
    write(out, 12, rest / 3_600_000);
    write(out, 15, rest / 60_000 % 60);
    write(out, 18, rest / 1000 % 60);
    write(out, 22, rest % 1000);
    return new String(out);
  }

  private static void write(char[] out, int last, int number) {
    for (int i = last; number > 0; i--, number /= 10) {
      out[i] = (char) ('0' + number % 10);
    }
  }
}
