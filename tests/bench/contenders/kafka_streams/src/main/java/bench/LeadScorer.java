package bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/** One event: read the lead, fold, score, say what changed, store the lead. */
final class LeadScorer implements Processor<byte[], byte[], String, byte[]> {
  static final String STORE = "leads";
  static final String CHANGES = "changes";
  static final String QUALIFIED = "qualified";

  private final Records records;
  private final MessageDigest md5;
  private ProcessorContext<String, byte[]> context;
  private KeyValueStore<String, Lead> leads;
  private int[] points = new int[Lead.RULES];

  LeadScorer(String topic) {
    records = new Records(topic);
    try {
      md5 = MessageDigest.getInstance("MD5"); // for ids, not for secrets: the fastest of 128 bits that Java has
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void init(ProcessorContext<String, byte[]> context) {
    this.context = context;
    leads = context.getStateStore(STORE);
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    try {
      Event event = new Event(record.value(), record.timestamp());
      Lead lead = leads.get(event.leadId);
      lead = lead == null ? new Lead() : lead;
      if (Pql100.fold(lead, event)) {
        Pql100.points(lead, points);
        if (!Arrays.equals(points, lead.points)) {
          announce(record, event, lead);
        }
      }
      leads.put(event.leadId, lead);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void announce(Record<byte[], byte[]> record, Event event, Lead lead) throws IOException {
    RecordMetadata place = context.recordMetadata().orElseThrow();
    Lead.Ref cause = new Lead.Ref(event.eventId, place.partition(), place.offset());
    int[] before = lead.points.clone();
    for (int rule = 0; rule < Lead.RULES; rule++) {
      if (points[rule] != before[rule]) {
        lead.movedBy[rule] = cause;
        lead.points[rule] = points[rule];
      }
    }
    lead.sequence++;
    int scoreAfter = Arrays.stream(points).sum();
    String lengthAndLead = event.leadId.length() + ":" + event.leadId;
    String id = hash(Pql100.NAME + Pql100.VERSION + ":" + lengthAndLead + lead.sequence + ":" + event.eventId);
    Change change =
        new Change(id, lead, before, lead.points, Arrays.stream(before).sum(), scoreAfter, event, cause);
    context.forward(outgoing(record, event, records.scoreChanged(change)), CHANGES);
    int tier = Pql100.tier(scoreAfter);
    if (tier > lead.announced) {
      String qualification = hash(lengthAndLead + Pql100.NAME + ":" + Pql100.TIERS[tier]);
      byte[] value = records.qualified(change, qualification, tier, lead.announced);
      context.forward(outgoing(record, event, value), QUALIFIED);
      lead.announced = tier;
    }
  }

  private static Record<String, byte[]> outgoing(Record<byte[], byte[]> record, Event event, byte[] value) {
    return new Record<>(event.leadId, value, record.timestamp());
  }

  private String hash(String text) {
    return HexFormat.of().formatHex(md5.digest(text.getBytes(StandardCharsets.UTF_8)));
  }
}
