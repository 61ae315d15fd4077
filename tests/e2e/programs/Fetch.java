/** Writes what an address of the web has to standard output. */
public class Fetch {
  public static void main(String[] words) throws Exception {
    new java.net.URL(words[0]).openStream().transferTo(System.out);
  }
}
