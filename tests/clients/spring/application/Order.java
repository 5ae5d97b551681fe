package application;

/** A payload that travels as JSON. */
public class Order {
    private int number;
    private String text;

    public Order() {
    }

    public Order(int number, String text) {
        this.number = number;
        this.text = text;
    }

    public int getNumber() {
        return number;
    }

    public void setNumber(int number) {
        this.number = number;
    }

    public String getText() {
        return text;
    }

    public void setText(String text) {
        this.text = text;
    }

    @Override
    public String toString() {
        return number + " " + text;
    }
}
