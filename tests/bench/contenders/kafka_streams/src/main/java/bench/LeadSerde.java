package bench;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** A lead as compact bytes: variable-length integers, UTF-8, hashes of 8 bytes. */
final class LeadSerde implements Serde<Lead> {
  @Override
  public Serializer<Lead> serializer() {
    return (topic, lead) -> lead == null ? null : new Writer().write(lead);
  }

  @Override
  public Deserializer<Lead> deserializer() {
    return (topic, bytes) -> bytes == null ? null : new Reader(bytes).read();
  }

  private static final class Writer {
    private byte[] out = new byte[768];
    private int size;

    byte[] write(Lead lead) {
      number(lead.firstSeenMs);
      number(lead.lastSeenMs);
      latest(lead.account);
      for (Lead.Distinct set : sets(lead)) {
        distinct(set);
      }
      number(lead.firstSuccessMs);
      number(lead.trialStartMs);
      number(lead.convertedMs);
      number(lead.tutorial ? 1 : 0);
      for (Lead.Latest value : values(lead)) {
        latest(value);
      }
      for (int i = 0; i < Lead.RULES; i++) {
        number(lead.points[i]);
        Lead.Ref ref = lead.movedBy[i];
        text(ref == null ? null : ref.eventId());
        if (ref != null) {
          number(ref.partition());
          number(ref.offset());
        }
      }
      number(lead.sequence);
      number(lead.announced);
      return Arrays.copyOf(out, size);
    }

    private void latest(Lead.Latest value) {
      text(value.known() ? value.eventId : null);
      if (value.known()) {
        number(value.atMs);
        text(value.word);
        fixed(Double.doubleToRawLongBits(value.number));
      }
    }

    private void distinct(Lead.Distinct set) {
      number(set.full ? -1 : set.hashes.length);
      for (long hash : set.hashes) {
        fixed(hash);
      }
    }

    /** Zigzag, seven bits a byte; the unset time is kept short as 0. */
    private void number(long value) {
      room(10);
      long rest = value == Lead.UNSET ? 0 : ((value << 1) ^ (value >> 63)) + 1;
      while ((rest & ~0x7FL) != 0) {
        out[size++] = (byte) (rest | 0x80);
        rest >>>= 7;
      }
      out[size++] = (byte) rest;
    }

    private void text(String value) {
      if (value == null) {
        number(-1);
        return;
      }
      byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
      number(bytes.length);
      room(bytes.length);
      System.arraycopy(bytes, 0, out, size, bytes.length);
      size += bytes.length;
    }

    private void fixed(long value) {
      room(8);
      for (int shift = 0; shift < 64; shift += 8) {
        out[size++] = (byte) (value >>> shift);
      }
    }

    private void room(int more) {
      if (size + more > out.length) {
        out = Arrays.copyOf(out, Math.max(2 * out.length, size + more));
      }
    }
  }

  private static final class Reader {
    private final byte[] in;
    private int at;

    Reader(byte[] in) {
      this.in = in;
    }

    Lead read() {
      Lead lead = new Lead();
      lead.firstSeenMs = number();
      lead.lastSeenMs = number();
      latest(lead.account);
      for (Lead.Distinct set : sets(lead)) {
        distinct(set);
      }
      lead.firstSuccessMs = number();
      lead.trialStartMs = number();
      lead.convertedMs = number();
      lead.tutorial = number() == 1;
      for (Lead.Latest value : values(lead)) {
        latest(value);
      }
      for (int i = 0; i < Lead.RULES; i++) {
        lead.points[i] = (int) number();
        String eventId = text();
        lead.movedBy[i] = eventId == null ? null : new Lead.Ref(eventId, (int) number(), number());
      }
      lead.sequence = (int) number();
      lead.announced = (int) number();
      return lead;
    }

    private void latest(Lead.Latest value) {
      value.eventId = text();
      if (value.eventId != null) {
        value.atMs = number();
        value.word = text();
        value.number = Double.longBitsToDouble(fixed());
      }
    }

    private void distinct(Lead.Distinct set) {
      int count = (int) number();
      set.full = count < 0;
      if (count > 0) {
        set.hashes = new long[count];
        for (int i = 0; i < count; i++) {
          set.hashes[i] = fixed();
        }
      }
    }

    private long number() {
      long value = 0;
      for (int shift = 0; ; shift += 7) {
        byte next = in[at++];
        value |= (long) (next & 0x7F) << shift;
        if (next >= 0) {
          break;
        }
      }
      if (value == 0) {
        return Lead.UNSET;
      }
      value--;
      return (value >>> 1) ^ -(value & 1);
    }

    private String text() {
      int length = (int) number();
      if (length < 0) {
        return null;
      }
      String text = new String(in, at, length, StandardCharsets.UTF_8);
      at += length;
      return text;
    }

    private long fixed() {
      long value = 0;
      for (int shift = 0; shift < 64; shift += 8) {
        value |= (in[at++] & 0xFFL) << shift;
      }
      return value;
    }
  }

  private static Lead.Distinct[] sets(Lead lead) {
    return new Lead.Distinct[] {lead.features, lead.runs, lead.posts, lead.requests};
  }

  private static Lead.Latest[] values(Lead lead) {
    return new Lead.Latest[] {lead.level, lead.teamSize, lead.revenue, lead.industry, lead.segment};
  }
}
